import { toWireFailure, type User } from '@bmt-central/realtime-protocol'
import { Server, type Socket } from 'socket.io'
import { parseClientInfo, parseToken, type Handshake } from '../auth/authenticate.js'
import type { ResolvedOptions } from '../options.js'
import { FastLane } from './fast-lane.js'
import { endingData } from './packets.js'
import type { Peer } from './peer.js'
import { refusalOf, Sessions } from './sessions.js'
import { SocketPeer, type PeerHandler, type PeerSocket } from './socket-peer.js'
import { cut, END_WITHIN_MS } from './wire-end.js'

declare module 'socket.io' {
  interface Socket {
    /** The authenticated user of a connection that this service has admitted. */
    user: User
  }
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

/** What passes Engine.IO and Socket.IO by; without it everything goes their way, which is the same. */
export interface Shortcuts {
  readonly lane: Pick<FastLane, 'write'>
  /** Whether requests are taken from the WebSocket itself. */
  readonly direct: boolean
}

/** The one place that knows Socket.IO (style D14). */
export function createTransport(
  options: ResolvedOptions,
  events: TransportEvents,
  shortcuts: Partial<Shortcuts> = {},
): Transport {
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
  const admitted = new WeakMap<Socket, Admitted>()
  io.use((socket, proceed) => {
    const abandon = (): void => events.abandoned(socket.id)
    const admission = admit(socket, options, events)
    socket.conn.once('close', abandon)
    admission
      .then(
        (facts) => {
          socket.user = facts.user
          admitted.set(socket, { ...facts, abandon })
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
  const { lane = new FastLane({ logger: options.logger, threshold }), direct = true } = shortcuts
  const wiring = { options, lane, direct, failed: events.failed }
  io.on('connection', (socket) => {
    const facts = admitted.get(socket)
    if (facts === undefined) return
    const peer = new SocketPeer(socket as unknown as PeerSocket, facts.handshake.address, wiring)
    peer.open(() => events.opened(peer, facts))
    // Its place is the connection's now. Left where they are, these two would keep the handshake.
    admitted.delete(socket)
    socket.conn.off('close', facts.abandon)
  })
  return { io, sessions: new Sessions(io, options) }
}

/** What is known between a connection's admission and its opening. */
interface Admitted {
  readonly user: User
  readonly handshake: Handshake
  /** Listens to the end of the transport meanwhile. */
  readonly abandon: () => void
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
