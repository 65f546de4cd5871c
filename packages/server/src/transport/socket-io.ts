import { ServerResponse, type IncomingMessage, type Server as HttpServer } from 'node:http'
import { toWireFailure, type User } from '@bmt-central/realtime-protocol'
import { Server, type Socket } from 'socket.io'
import { parseClientInfo, parseToken, type Handshake } from '../auth/authenticate.js'
import type { ResolvedOptions } from '../options.js'
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
  attach(server: HttpServer): void
  /** Closes every transport; the HTTP server stays open. */
  close(): void
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
  return {
    io,
    attach: (server) => {
      io.attach(server)
      io.engine.use(sessionGuard(options))
    },
    close: () => {
      io.disconnectSockets(true)
      // Attached before the start at most: an engine that never was has nothing to close.
      ;(io.engine as { close?: () => void } | undefined)?.close?.()
    },
  }
}

/**
 * `allowRequest` is asked for handshakes only: this looks at the requests of sessions that exist
 * already, so that a foreign page can use none that it has learnt of [W9].
 */
function sessionGuard(options: ResolvedOptions) {
  return (
    request: IncomingMessage & { _query?: Readonly<Record<string, unknown>> },
    response: unknown,
    next: (error?: Error) => void,
  ): void => {
    const refusal = request._query?.['sid'] === undefined ? null : refusalOf(request, options)
    if (refusal === null) return next()
    // An upgrade is ended by Engine.IO itself, which has no other answer than 400 after a middleware.
    if (response instanceof ServerResponse) {
      response.writeHead(403, { 'Content-Type': 'application/json' })
      response.end(JSON.stringify({ code: 4, message: refusal }))
    }
    next(new Error(refusal))
  }
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
  const { code, message, retryable, retryAfterMs, details } = toWireFailure(error)
  const data = {
    code,
    message,
    retryable,
    ...(retryAfterMs !== undefined && { retryAfterMs }),
    ...(details !== undefined && { details }),
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
  const handler = events.opened(peer, facts)
  // In place of Socket.IO's own dispatch: all requests take the same way, so that none overtakes
  // another [W6], and answers leave by our outlet, in order with the messages.
  const inner = socket as unknown as { onevent: (packet: EventPacket) => void }
  const ordinary = inner.onevent.bind(socket)
  inner.onevent = (packet) => {
    const [event, ...args] = packet.data ?? []
    if (typeof event === 'string' && options.ownEvents.has(event)) ordinary(packet)
    else handler.packet(event, args, packet.id ?? null)
  }
  socket.once('disconnect', (reason) => {
    handler.closed(reason)
    options.runtime.after(END_WITHIN_MS, () => terminate(socket))
  })
  socket.on('error', (error) => {
    options.logger.debug('socket error', { connectionId: socket.id, error: error.message })
  })
}

class SocketPeer implements Peer {
  readonly connectionId: string
  readonly address: string
  lastPacketAt: number
  readonly #socket: Socket
  readonly #runtime: ResolvedOptions['runtime']
  /** Handovers that the network has not taken yet. */
  readonly #waiting = new Set<Handover>()

  constructor(socket: Socket, address: string, { runtime }: ResolvedOptions) {
    this.connectionId = socket.id
    this.address = address
    this.#socket = socket
    this.#runtime = runtime
    this.lastPacketAt = runtime.monotonicNow()
    socket.conn.on('packet', () => (this.lastPacketAt = runtime.monotonicNow()))
    // Engine.IO forgets the callbacks of what its old transport sent last.
    socket.conn.on('upgrade', () => {
      for (const handover of Array.from(this.#waiting)) this.#taken(handover)
    })
  }

  get transport(): string {
    return this.#socket.conn.transport.name
  }

  write(handover: Handover): void {
    const { conn } = this.#socket
    const last = handover.packets.length - 1
    this.#waiting.add(handover)
    for (const [index, packet] of handover.packets.entries()) {
      if (index < last) conn.write(packet)
      else conn.write(packet, {}, () => this.#taken(handover))
    }
  }

  end(final: boolean): void {
    if (final) this.#socket.disconnect()
    else this.#socket.conn.close()
    this.#runtime.after(END_WITHIN_MS, () => terminate(this.#socket))
  }

  #taken(handover: Handover): void {
    if (this.#waiting.delete(handover)) handover.taken()
  }
}

/** Ends a transport now, whatever it still holds. */
function terminate(socket: Socket): void {
  const { conn } = socket
  if (conn.readyState === 'closed') return
  const raw = (conn.transport as { socket?: { terminate?: () => void } }).socket
  conn.close(true)
  raw?.terminate?.()
}
