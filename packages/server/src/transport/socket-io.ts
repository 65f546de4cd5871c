import { ServerResponse, type IncomingMessage, type Server as HttpServer } from 'node:http'
import { RealtimeError, toWireFailure, type User } from '@bmt-central/realtime-protocol'
import { Server, type Socket } from 'socket.io'
import { parseClientInfo, parseToken, type Handshake } from '../auth/authenticate.js'
import type { ResolvedOptions } from '../options.js'
import { Attachment, OpenWires } from './attachment.js'
import { hostAllowed, originAllowed } from './origin.js'
import type { Handover, Peer } from './peer.js'

declare module 'socket.io' {
  interface Socket {
    /** The authenticated user of a connection that this service has admitted. */
    user: User
  }
}

/** What happens to one opened connection. */
export interface PeerHandler {
  packet(event: unknown, args: readonly unknown[], ackId: number | null): void
  closed(reason: string): void
}

/** What the transport asks of the service. */
export interface TransportEvents {
  /** Whether new connections are taken at all. */
  readonly accepting: () => boolean
  /** Authenticates and takes a place. @throws RealtimeError */
  readonly admit: (handshake: Handshake) => Promise<User>
  /** The place of `admit` is not needed: the connection went before it opened. */
  readonly abandoned: (connectionId: string) => void
  readonly opened: (peer: Peer, facts: { user: User; handshake: Handshake }) => PeerHandler
  readonly refused: (error: unknown, handshake: { connectionId: string }) => void
  /** Something of ours threw where only Node would have caught it. */
  readonly failed: (error: unknown, where: string) => void
}

/** An end that is not over by then is enforced ([L9], [W25]). */
const END_WITHIN_MS = 1_000
/** The middleware answers a slow `authenticate` first; then Socket.IO's own limit ends what is left. */
const CONNECT_GRACE_MS = 1_000

/** The Socket.IO server, for those that may not name its package. */
export type SocketIoServer = Server

/** The Socket.IO server underneath, and how it is attached and closed. */
export interface Transport {
  readonly io: Server
  /** @throws RealtimeError `invalid_options`: attached to this server already */
  attach(server: HttpServer): void
  /**
   * Gives what is ending 1 s to end, then ends what is left, and leaves the HTTP servers, which stay
   * open.
   */
  close(): Promise<void>
}

/** The one place that knows Socket.IO (style D14). */
export function createTransport(options: ResolvedOptions, events: TransportEvents): Transport {
  const { limits, path, origins } = options
  const io = new Server({
    path,
    serveClient: false,
    transports: ['polling', 'websocket'],
    maxHttpBufferSize: limits.maxFrameBytes,
    connectTimeout: limits.handshakeTimeoutMs + CONNECT_GRACE_MS,
    // As `compression: false` says; and the end of an answer is known at once where it is not packed.
    httpCompression: false,
    ...(origins.length > 0 && { cors: { origin: Array.from(origins) } }),
    allowRequest: (request, answer) => {
      const refusal = events.accepting() ? refusalOf(request, options) : 'the server is closing'
      answer(refusal, refusal === null)
    },
  })
  const admitted = new WeakMap<Socket, { user: User; handshake: Handshake }>()
  io.use((socket, proceed) => {
    const abandon = (): void => events.abandoned(socket.id)
    const admission = admit(socket, options, events)
    socket.conn.once('close', abandon)
    admission.then(
      (facts) => {
        socket.user = facts.user
        admitted.set(socket, facts)
        // Went while it was being authenticated: `close` came before there was a place to give back.
        if (socket.conn.readyState !== 'open') abandon()
        proceed()
      },
      (error: unknown) => {
        events.refused(error, { connectionId: socket.id })
        options.runtime.after(END_WITHIN_MS, () => terminate(socket))
        proceed(connectError(error))
      },
    )
  })
  io.on('connection', (socket) => {
    const facts = admitted.get(socket)
    if (facts !== undefined) open(socket, facts, { options, events })
  })
  return { io, ...attaching(io, options) }
}

/** A session of Engine.IO, as far as it matters here. */
interface Session {
  readonly id: string
  readonly readyState: string
  close(discard?: boolean): unknown
  once(event: 'close', run: () => void): unknown
}

function attaching(io: Server, options: ResolvedOptions): Omit<Transport, 'io'> {
  const { path, runtime } = options
  const attachments = new Map<HttpServer, Attachment>()
  const engines: Server['engine'][] = []
  const sessions = new Map<string, Session>()
  const wires = new OpenWires()
  const opened = (conn: Session): void => {
    sessions.set(conn.id, conn)
    wires.add(conn)
    conn.once('close', () => {
      sessions.delete(conn.id)
      wires.delete(conn)
    })
  }
  return {
    attach: (server) => {
      if (attachments.has(server)) {
        throw new RealtimeError('invalid_options', 'this HTTP server is attached already')
      }
      const attach = (): void => void io.attach(server)
      attachments.set(server, new Attachment(server, { path, wires, attach }))
      io.engine.use(sessionGuard(sessions, options))
      io.engine.on('connection', opened)
      engines.push(io.engine)
    },
    close: async () => {
      // Those that have not joined, or joined a namespace of the application's: the service has not
      // ended them.
      for (const conn of sessions.values()) if (conn.readyState === 'open') conn.close()
      await new Promise<void>((resolve) => {
        const cancel = runtime.after(END_WITHIN_MS, resolve)
        void wires.whenNone().then(() => {
          cancel()
          resolve()
        })
      })
      for (const engine of engines) engine.close()
      for (const attachment of attachments.values()) {
        attachment.cut()
        attachment.detach()
      }
    },
  }
}

type EngineRequest = IncomingMessage & { _query?: Readonly<Record<string, unknown>> }

/**
 * `allowRequest` is asked for handshakes only: this looks at the requests of sessions that exist
 * already, so that a foreign page can use none that it has learnt of [W9].
 */
function sessionGuard(sessions: ReadonlyMap<string, Session>, options: ResolvedOptions) {
  return (request: EngineRequest, response: unknown, next: (error?: Error) => void): void => {
    const id = request._query?.['sid']
    if (typeof id !== 'string') return next()
    const refusal = refusalOf(request, options)
    if (refusal === null) {
      if (isServerResponse(response)) endIfTooLarge(response, sessions.get(id))
      return next()
    }
    // An upgrade is ended by Engine.IO itself, which has no other answer than 400 after a middleware.
    if (isServerResponse(response)) {
      response.writeHead(403, { 'Content-Type': 'application/json' })
      response.end(JSON.stringify({ code: 4, message: refusal }))
    }
    return next(new Error(refusal))
  }
}

function isServerResponse(value: unknown): value is ServerResponse {
  return value instanceof ServerResponse
}

/** Engine.IO answers a POST that is too large, and would keep its session [L5]. */
function endIfTooLarge(response: ServerResponse, conn: Session | undefined): void {
  response.once('finish', () => {
    if (response.statusCode === 413) conn?.close(true)
  })
}

/** Why a request may not come in [W9]; null: it may. */
function refusalOf(request: IncomingMessage, options: ResolvedOptions): string | null {
  const { origin, host } = request.headers
  if (!originAllowed({ origin, host }, options.origins)) {
    options.logger.warn('origin refused', {
      origin: origin?.slice(0, 200),
      host: host?.slice(0, 200),
    })
    return 'this origin is not allowed'
  }
  if (options.devHosts !== null && !hostAllowed(host, options.devHosts)) {
    options.logger.warn('host refused', { host: host?.slice(0, 200) })
    return 'this host is not allowed'
  }
  return null
}

async function admit(
  socket: Socket,
  options: ResolvedOptions,
  events: TransportEvents,
): Promise<{ user: User; handshake: Handshake }> {
  const auth = fieldsOf(socket.handshake.auth)
  const { client } = parseClientInfo(auth)
  const handshake: Handshake = {
    token: parseToken(auth),
    auth,
    headers: socket.handshake.headers,
    address: addressOf(socket, options.trustProxy),
    connectionId: socket.id,
    client,
  }
  return { user: await events.admit(handshake), handshake }
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

/** The last entry of `X-Forwarded-For` is what the proxy in front of us saw; those before it are hearsay. */
function addressOf(socket: Socket, trustProxy: boolean): string {
  const header = trustProxy ? socket.handshake.headers['x-forwarded-for'] : undefined
  const last = String(header ?? '')
    .split(',')
    .at(-1)
    ?.trim()
  return last === undefined || last === '' ? socket.conn.remoteAddress : last
}

/** A refusal as Socket.IO sends it: `data` is `{ code, message, retryable, retryAfterMs? }` [W2]. */
function connectError(error: unknown): Error {
  const { code, message, retryable, retryAfterMs } = toWireFailure(error)
  const data = {
    code,
    message,
    retryable,
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  }
  return Object.assign(new Error(message), { data })
}

/** Socket.IO's packet of an event, as its decoder gives it. */
interface EventPacket {
  readonly data?: readonly unknown[]
  readonly id?: number
}

function open(
  socket: Socket,
  facts: { user: User; handshake: Handshake },
  { options, events }: { options: ResolvedOptions; events: TransportEvents },
): void {
  const peer = new SocketPeer(socket, facts.handshake.address, options)
  // Socket.IO calls from the event loop: what is thrown there ends the process, not one connection.
  const guarded = (where: string, run: () => void): void => {
    try {
      run()
    } catch (error) {
      events.failed(error, where)
      terminate(socket)
    }
  }
  let handler: PeerHandler | null = null
  guarded('opening a connection', () => (handler = events.opened(peer, facts)))
  // In place of Socket.IO's own dispatch: all requests take the same way, so that none overtakes
  // another [W6], and answers leave by our outlet, in order with the messages.
  const inner = socket as unknown as { onevent: (packet: EventPacket) => void }
  const ordinary = inner.onevent.bind(socket)
  inner.onevent = (packet) => {
    const [event, ...args] = packet.data ?? []
    if (typeof event === 'string' && options.ownEvents.has(event)) ordinary(packet)
    else guarded('a request', () => handler?.packet(event, args, packet.id ?? null))
  }
  const endSoon = (): void => void options.runtime.after(END_WITHIN_MS, () => terminate(socket))
  socket.once('disconnect', (reason) => {
    guarded('the end of a connection', () => handler?.closed(reason))
    endSoon()
  })
  socket.on('error', (error) => {
    options.logger.debug('socket error', { connectionId: socket.id, error: error.message })
    // Socket.IO's parser refused something [W7]: the end may wait for a client that does not read.
    endSoon()
  })
}

class SocketPeer implements Peer {
  readonly connectionId: string
  readonly address: string
  lastPacketAt: number
  readonly #socket: Socket
  readonly #runtime: ResolvedOptions['runtime']

  constructor(socket: Socket, address: string, { runtime }: ResolvedOptions) {
    this.connectionId = socket.id
    this.address = address
    this.#socket = socket
    this.#runtime = runtime
    this.lastPacketAt = runtime.monotonicNow()
    socket.conn.on('packet', () => (this.lastPacketAt = runtime.monotonicNow()))
  }

  get transport(): string {
    return this.#socket.conn.transport.name
  }

  write(handover: Handover): void {
    const { conn } = this.#socket
    const last = handover.packets.length - 1
    for (const [index, packet] of handover.packets.entries()) {
      if (index < last) conn.write(packet)
      else conn.write(packet, {}, handover.taken)
    }
  }

  end(final: boolean): void {
    if (final) this.#socket.disconnect()
    else this.#socket.conn.close()
    this.#runtime.after(END_WITHIN_MS, () => terminate(this.#socket))
  }
}

/** Ends a transport now: whatever it still holds, whether or not its client plays along. */
function terminate({ conn }: Socket): void {
  const { socket, shouldClose } = conn.transport as {
    readonly socket?: { terminate?: () => void }
    readonly shouldClose?: (() => void) | null
  }
  conn.close(true)
  // Polling that was closed between two polls waits for the next one, 30 s long.
  shouldClose?.()
  // A WebSocket waits 30 s for the answer to its close.
  socket?.terminate?.()
}
