import { toWireFailure, type User } from '@bmt-central/realtime-protocol'
import { Server, type Socket } from 'socket.io'
import { parseClientInfo, parseToken, type Handshake } from '../auth/authenticate.js'
import type { ResolvedOptions } from '../options.js'
import { DirectRequests } from './direct-requests.js'
import { FastLane } from './fast-lane.js'
import { endingData } from './packets.js'
import type { Handover, Peer } from './peer.js'
import { refusalOf, Sessions } from './sessions.js'
import { cut, END_WITHIN_MS } from './wire-end.js'

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

/** The middleware answers a slow `authenticate` first; then Socket.IO's own limit ends what is left. */
const CONNECT_GRACE_MS = 1_000

/** The Socket.IO server, for those that may not name its package. */
export type SocketIoServer = Server

/** The Socket.IO server underneath, and where it is served. */
export interface Transport {
  readonly io: Server
  readonly sessions: Pick<Sessions, 'attach' | 'close'>
}

/** Joins a service to a wire: to Socket.IO, unless a test brings another one. */
export type CreateTransport = (options: ResolvedOptions, events: TransportEvents) => Transport

/** The one place that knows Socket.IO (style D14). */
export function createTransport(options: ResolvedOptions, events: TransportEvents): Transport {
  const { limits, path, origins, compressionThresholdBytes: threshold } = options
  const io = new Server({
    path,
    serveClient: false,
    transports: ['polling', 'websocket'],
    maxHttpBufferSize: limits.maxFrameBytes,
    connectTimeout: limits.handshakeTimeoutMs + CONNECT_GRACE_MS,
    // The end of an answer to a poll is known at once where it is not packed.
    httpCompression: false,
    ...(threshold !== null && { perMessageDeflate: { threshold, serverNoContextTakeover: true } }),
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
    admission
      .then(
        (facts) => {
          socket.user = facts.user
          admitted.set(socket, facts)
          // Went while it was being authenticated: `close` came before there was a place to give back.
          if (socket.conn.readyState !== 'open') abandon()
          proceed()
        },
        (error: unknown) => {
          events.refused(error, { connectionId: socket.id })
          options.runtime.after(END_WITHIN_MS, () => cut(socket.conn))
          proceed(connectError(error))
        },
      )
      .catch((error: unknown) => events.failed(error, 'admitting a connection'))
  })
  const lane = new FastLane({ logger: options.logger, threshold })
  io.on('connection', (socket) => {
    const facts = admitted.get(socket)
    if (facts !== undefined) open(socket, facts, { options, events, lane })
  })
  return { io, sessions: new Sessions(io, options) }
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
  const data = endingData(toWireFailure(error))
  return Object.assign(new Error(data.message), { data })
}

/** Socket.IO's packet of an event, as its decoder gives it. */
interface EventPacket {
  readonly data?: readonly unknown[]
  readonly id?: number
}

function open(
  socket: Socket,
  facts: { user: User; handshake: Handshake },
  { options, events, lane }: { options: ResolvedOptions; events: TransportEvents; lane: FastLane },
): void {
  const { address } = facts.handshake
  const peer = new SocketPeer(socket, { address, lane, runtime: options.runtime })
  // Socket.IO calls from the event loop: what is thrown there ends the process, not one connection.
  const guarded = (where: string, run: () => void): void => {
    try {
      run()
    } catch (error) {
      events.failed(error, where)
      cut(socket.conn)
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
  new DirectRequests(socket, {
    packet: (event, args, ackId) => guarded('a request', () => handler?.packet(event, args, ackId)),
    isOrdinary: (event) => options.ownEvents.has(event),
    heard: () => (peer.lastPacketAt = options.runtime.monotonicNow()),
    nextTurn: (run) => options.runtime.after(0, run),
  })
  const endSoon = (): void => void options.runtime.after(END_WITHIN_MS, () => cut(socket.conn))
  socket.once('disconnect', (reason) => {
    guarded('the end of a connection', () => handler?.closed(reason))
    // It has left the namespace; the transport is there until somebody closes it.
    if (socket.conn.readyState !== 'closed') endSoon()
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
  readonly #lane: FastLane
  readonly #runtime: ResolvedOptions['runtime']

  constructor(
    socket: Socket,
    {
      address,
      lane,
      runtime,
    }: Pick<Peer, 'address'> & {
      lane: FastLane
      runtime: ResolvedOptions['runtime']
    },
  ) {
    this.connectionId = socket.id
    this.address = address
    this.#socket = socket
    this.#lane = lane
    this.#runtime = runtime
    this.lastPacketAt = runtime.monotonicNow()
    socket.conn.on('packet', () => (this.lastPacketAt = runtime.monotonicNow()))
  }

  get transport(): string {
    return this.#socket.conn.transport.name
  }

  write(handover: Handover): void {
    const { conn } = this.#socket
    if (this.#lane.write(conn, handover)) return
    const packets = handover.shared?.parcels ?? []
    const all = [...handover.packets, ...packets]
    const last = all.length - 1
    for (const [index, { text }] of all.entries()) {
      if (index < last) conn.write(text)
      else conn.write(text, {}, () => handover.taken())
    }
  }

  end(final: boolean): void {
    if (final) this.#socket.disconnect()
    else this.#socket.conn.close()
    this.#runtime.after(END_WITHIN_MS, () => cut(this.#socket.conn))
  }
}
