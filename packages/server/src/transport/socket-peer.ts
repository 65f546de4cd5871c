import type { ResolvedOptions } from '../options.js'
import { DirectRequests, type DirectOwner } from './direct-requests.js'
import type { FastLane } from './fast-lane.js'
import type { Handover, Peer } from './peer.js'
import { cut, END_WITHIN_MS, type Wire } from './wire-end.js'

/** What happens to one opened connection. */
export interface PeerHandler {
  packet(event: unknown, args: readonly unknown[], ackId: number | null): void
  closed(reason: string): void
}

/** What all peers share. */
export interface PeerWiring {
  readonly options: ResolvedOptions
  readonly lane: Pick<FastLane, 'write'>
  /** Whether requests are taken from the WebSocket itself. */
  readonly direct: boolean
  /** Something of ours threw where only Node would have caught it. */
  readonly failed: (error: unknown, where: string) => void
}

/** Socket.IO's packet of an event, as its decoder gives it. */
interface EventPacket {
  readonly data?: readonly unknown[]
  readonly id?: number
}

const PEER: unique symbol = Symbol('peer')

/** A socket of Socket.IO's, as far as it is used here. */
export interface PeerSocket {
  readonly id: string
  readonly conn: Wire & {
    readonly transport: { readonly name: string }
    write(text: string, options?: object, taken?: () => void): unknown
  }
  disconnect(): unknown
  on(event: 'disconnect', run: (this: PeerSocket, reason: string) => void): unknown
  on(event: 'error', run: (this: PeerSocket, error: Error) => void): unknown
  /** The way in of every event. */
  onevent: (this: PeerSocket, packet: EventPacket) => void
  [PEER]?: SocketPeer
}

// Listeners are the same functions for all sockets, which find the peer at theirs: a closure for each
// event of each connection would cost more memory than everything else that is ours.

function onEvent(this: PeerSocket, packet: EventPacket): void {
  this[PEER]?.event(packet)
}

function onDisconnect(this: PeerSocket, reason: string): void {
  this[PEER]?.disconnected(reason)
}

function onError(this: PeerSocket, error: Error): void {
  this[PEER]?.refused(error)
}

/** A socket of Socket.IO's as the rest of the server sees it. */
export class SocketPeer implements Peer, DirectOwner {
  readonly address: string
  lastPacketAt: number
  readonly #socket: PeerSocket
  /** The same for the whole life of the socket; asked of it, it costs two more looks at memory a write. */
  readonly #conn: PeerSocket['conn']
  readonly #wiring: PeerWiring
  /** What Socket.IO does with an event. */
  readonly #ordinary: PeerSocket['onevent']
  #handler: PeerHandler | null = null

  constructor(socket: PeerSocket, address: string, wiring: PeerWiring) {
    this.address = address
    this.#socket = socket
    this.#conn = socket.conn
    this.#wiring = wiring
    this.#ordinary = socket.onevent
    this.lastPacketAt = wiring.options.runtime.monotonicNow()
  }

  get connectionId(): string {
    return this.#socket.id
  }

  get transport(): string {
    return this.#conn.transport.name
  }

  /** `opened` gives what is told of it from then on. */
  open(opened: () => PeerHandler): void {
    this.#guarded('opening a connection', () => (this.#handler = opened()))
    const socket = this.#socket
    socket[PEER] = this
    // In place of Socket.IO's own dispatch: all requests take the same way, so that none overtakes
    // another [W6], and answers leave by our outlet, in order with the messages.
    socket.onevent = onEvent
    if (this.#wiring.direct) new DirectRequests(socket, this)
    socket.on('disconnect', onDisconnect)
    socket.on('error', onError)
  }

  event(packet: EventPacket): void {
    const [event, ...args] = packet.data ?? []
    if (typeof event === 'string' && this.isOrdinary(event)) {
      this.#ordinary.call(this.#socket, packet)
    } else {
      this.packet(event, args, packet.id ?? null)
    }
  }

  packet(event: unknown, args: readonly unknown[], ackId: number | null): void {
    this.#guarded('a request', () => this.#handler?.packet(event, args, ackId))
  }

  isOrdinary(event: string): boolean {
    return this.#wiring.options.ownEvents.has(event)
  }

  heard(): void {
    this.lastPacketAt = this.#wiring.options.runtime.monotonicNow()
  }

  nextTurn(run: () => void): void {
    this.#wiring.options.runtime.after(0, run)
  }

  disconnected(reason: string): void {
    this.#guarded('the end of a connection', () => this.#handler?.closed(reason))
    // It has left the namespace; the transport is there until somebody closes it.
    if (this.#conn.readyState !== 'closed') this.#endSoon()
  }

  /** Socket.IO's parser refused something [W7]: the end may wait for a client that does not read. */
  refused(error: Error): void {
    const facts = { connectionId: this.connectionId, error: error.message }
    this.#wiring.options.logger.debug('socket error', facts)
    this.#endSoon()
  }

  write(handover: Handover): void {
    const conn = this.#conn
    if (this.#wiring.lane.write(conn, handover)) return
    const packets = handover.shared?.parcels ?? []
    const all = [...handover.packets, ...packets]
    const last = all.length - 1
    for (const [index, { text }] of all.entries()) {
      if (index < last) conn.write(text)
      else conn.write(text, {}, () => handover.taker.taken(handover.bytes))
    }
  }

  end(final: boolean): void {
    // The application may listen to the end of the socket, and throw.
    this.#guarded('the end of a connection', () => {
      if (final) this.#socket.disconnect()
      else this.#conn.close()
    })
    this.#endSoon()
  }

  #endSoon(): void {
    this.#wiring.options.runtime.after(END_WITHIN_MS, () => cut(this.#conn))
  }

  /** Called from the event loop: what is thrown there ends the process, not one connection. */
  #guarded(where: string, run: () => void): void {
    try {
      run()
    } catch (error) {
      this.#wiring.failed(error, where)
      cut(this.#conn)
    }
  }
}
