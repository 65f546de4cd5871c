/** `4`, Engine.IO's type of a message; `2`, Socket.IO's of an event; `[`, where its arguments begin. */
const MESSAGE = 0x34
const EVENT = 0x32
const ARGUMENTS = 0x5b
const ZERO = 0x30
const NINE = 0x39
/** More digits are no acknowledgement id of ours; a number holds so many. */
const MAX_ID_DIGITS = 15
/** Names that Socket.IO lets no client send. */
const RESERVED: ReadonlySet<string> = new Set([
  'connect',
  'connect_error',
  'disconnect',
  'disconnecting',
  'newListener',
  'removeListener',
])

/** What is used of the WebSocket behind Engine.IO. */
interface MessageSource {
  listeners(event: 'message'): Listener[]
  removeListener(event: 'message', listener: Listener): unknown
  on(event: 'message', listener: (data: unknown, isBinary: boolean) => void): unknown
}

/** What Engine.IO and Socket.IO do with a packet besides passing it on. */
interface Inside {
  readonly conn: {
    readonly readyState: unknown
    readonly transport: { readonly name: string; readonly socket?: MessageSource }
    readonly pingTimeoutTimer?: { refresh(): void } | null
    hasRefreshedPingTimeout?: boolean
    on(event: 'packet', run: () => void): unknown
    off(event: 'packet', run: () => void): unknown
    once(event: 'upgrade', run: () => void): unknown
  }
  readonly client: { readonly decoder?: { readonly reconstructor?: unknown } }
}

type Listener = (...args: unknown[]) => void

/** Whose requests they are. */
export interface DirectOwner {
  /** Carries an event out. Does not throw: it runs in the middle of the WebSocket's receiver. */
  packet(event: string, args: readonly unknown[], ackId: number | null): void
  /** Whether Socket.IO's own listeners get this event. */
  isOrdinary(event: string): boolean
  /** A packet has arrived, of whatever kind [L10]. */
  heard(): void
  nextTurn(run: () => void): void
}

/**
 * Takes events of the main namespace from the WebSocket itself: Engine.IO's and Socket.IO's decoders
 * and the turns of the queue between them cost a third of a publish. All that is not plainly an event
 * goes to them untouched, so refusals stay theirs, and so does all that follows within the same turn:
 * nothing overtakes anything [W6].
 */
export class DirectRequests {
  readonly #inside: Inside
  readonly #owner: DirectOwner
  /** Engine.IO's listener. */
  #ordinary: Listener | null = null
  /** Something is on its way through the decoders. */
  #ordinaryFirst = false

  /** `socket`: Socket.IO's. */
  constructor(socket: object, owner: DirectOwner) {
    this.#inside = socket as Inside
    this.#owner = owner
    if (this.#listen()) return
    const { conn } = this.#inside
    const heard = (): void => owner.heard()
    conn.on('packet', heard)
    conn.once('upgrade', () => {
      if (this.#listen()) conn.off('packet', heard)
    })
  }

  /** Whether all that arrives from now on is seen here first. */
  #listen(): boolean {
    const { name, socket } = this.#inside.conn.transport
    if (name !== 'websocket' || typeof socket?.listeners !== 'function') return false
    const [ordinary, ...others] = socket.listeners('message')
    if (ordinary === undefined || others.length > 0) return false
    this.#ordinary = ordinary
    socket.removeListener('message', ordinary)
    socket.on('message', (data, isBinary) => this.#message(data, isBinary))
    return true
  }

  #message(data: unknown, isBinary: boolean): void {
    const { conn } = this.#inside
    if (conn.readyState === 'open') this.#owner.heard()
    if (!isBinary && Buffer.isBuffer(data) && this.#take(data)) return
    this.#pass(data)
    this.#ordinary?.call(conn.transport.socket, data, isBinary)
  }

  #pass(data: unknown): void {
    // Pings and pongs pass nothing on that could be overtaken.
    if (this.#ordinaryFirst || (Buffer.isBuffer(data) && data.length === 1)) return
    this.#ordinaryFirst = true
    this.#owner.nextTurn(() => (this.#ordinaryFirst = false))
  }

  /** Whether it was an event of ours, and is carried out. */
  #take(data: Buffer): boolean {
    const { conn, client } = this.#inside
    if (this.#ordinaryFirst || conn.readyState !== 'open') return false
    if (client.decoder === undefined || client.decoder.reconstructor) return false
    const event = decodeEvent(data)
    if (event === null || this.#owner.isOrdinary(event.name)) return false
    this.#putOffPingTimeout()
    this.#owner.packet(event.name, event.args, event.ackId)
    return true
  }

  /** As Engine.IO does with every packet. */
  #putOffPingTimeout(): void {
    const { conn } = this.#inside
    if (!conn.pingTimeoutTimer || conn.hasRefreshedPingTimeout !== false) return
    conn.pingTimeoutTimer.refresh()
    conn.hasRefreshedPingTimeout = true
  }
}

interface DecodedEvent {
  readonly name: string
  readonly args: readonly unknown[]
  readonly ackId: number | null
}

/** An EVENT packet of the main namespace without attachments, or null: let others decode it. */
export function decodeEvent(data: Buffer): DecodedEvent | null {
  if (data[0] !== MESSAGE || data[1] !== EVENT) return null
  let at = 2
  let ackId = 0
  for (let byte = data[at]; byte !== undefined && byte >= ZERO && byte <= NINE; byte = data[at]) {
    ackId = ackId * 10 + byte - ZERO
    at += 1
  }
  const digits = at - 2
  if (digits > MAX_ID_DIGITS || data[at] !== ARGUMENTS) return null
  let parsed: unknown
  try {
    parsed = JSON.parse(data.toString('utf8', at))
  } catch {
    // Socket.IO ends the connection for it: let it.
    return null
  }
  if (!Array.isArray(parsed)) return null
  const [name, ...args] = parsed as unknown[]
  if (typeof name !== 'string' || RESERVED.has(name)) return null
  return { name, args, ackId: digits === 0 ? null : ackId }
}
