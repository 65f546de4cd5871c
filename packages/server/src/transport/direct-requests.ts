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
  listeners(event: 'message'): ((...args: unknown[]) => void)[]
  removeListener(event: 'message', listener: (...args: unknown[]) => void): unknown
  on(event: 'message', listener: (data: unknown, isBinary: boolean) => void): unknown
}

/** What Engine.IO and Socket.IO do with a packet besides passing it on. */
interface Inside {
  readonly conn: {
    readonly readyState: unknown
    readonly transport: { readonly name: string; readonly socket?: MessageSource }
    readonly pingTimeoutTimer?: { refresh(): void } | null
    hasRefreshedPingTimeout?: boolean
    once(event: 'upgrade', run: () => void): unknown
  }
  readonly client: { readonly decoder?: { readonly reconstructor?: unknown } }
}

/**
 * Takes events of the main namespace from the WebSocket itself: Engine.IO's and Socket.IO's decoders
 * and the turns of the queue between them cost a third of a publish. All that is not plainly an event
 * goes to them untouched, so refusals stay theirs, and so does all that follows within the same turn:
 * nothing overtakes anything [W6].
 */
export class DirectRequests {
  readonly #inside: Inside
  readonly #parts: DirectParts
  /** Something is on its way through the decoders. */
  #ordinaryFirst = false

  /** `socket`: Socket.IO's. */
  constructor(socket: object, parts: DirectParts) {
    this.#inside = socket as Inside
    this.#parts = parts
    const { conn } = this.#inside
    this.#listen()
    if (conn.transport.name !== 'websocket') conn.once('upgrade', () => this.#listen())
  }

  #listen(): void {
    const { name, socket } = this.#inside.conn.transport
    if (name !== 'websocket' || typeof socket?.listeners !== 'function') return
    const [ordinary, ...others] = socket.listeners('message')
    if (ordinary === undefined || others.length > 0) return
    socket.removeListener('message', ordinary)
    socket.on('message', (data, isBinary) => {
      if (!isBinary && Buffer.isBuffer(data) && this.#take(data)) return
      this.#ordinary(data)
      ordinary.call(socket, data, isBinary)
    })
  }

  #ordinary(data: unknown): void {
    // Pings and pongs pass nothing on that could be overtaken.
    if (this.#ordinaryFirst || (Buffer.isBuffer(data) && data.length === 1)) return
    this.#ordinaryFirst = true
    this.#parts.nextTurn(() => (this.#ordinaryFirst = false))
  }

  /** Whether it was an event of ours, and is carried out. */
  #take(data: Buffer): boolean {
    const { conn, client } = this.#inside
    if (this.#ordinaryFirst || conn.readyState !== 'open') return false
    if (client.decoder === undefined || client.decoder.reconstructor) return false
    const event = decodeEvent(data)
    if (event === null || this.#parts.isOrdinary(event.name)) return false
    this.#heard()
    this.#parts.packet(event.name, event.args, event.ackId)
    return true
  }

  /** As Engine.IO does with every packet. */
  #heard(): void {
    this.#parts.heard()
    const { conn } = this.#inside
    if (!conn.pingTimeoutTimer || conn.hasRefreshedPingTimeout !== false) return
    conn.pingTimeoutTimer.refresh()
    conn.hasRefreshedPingTimeout = true
  }
}

export interface DirectParts {
  /** Carries an event out. Does not throw: it runs in the middle of the WebSocket's receiver. */
  readonly packet: (event: string, args: readonly unknown[], ackId: number | null) => void
  /** Whether Socket.IO's own listeners get this event. */
  readonly isOrdinary: (event: string) => boolean
  /** A packet has arrived [L10]. */
  readonly heard: () => void
  readonly nextTurn: (run: () => void) => void
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
