import type { Bundle } from './bundle.js'
import type { SizedText } from './frames.js'
import type { Parcel } from './parcel.js'
import type { Peer } from './peer.js'
import type { Turn } from './turn.js'

/** So much is handed to the wire ahead of the network, or one larger packet [P10]. */
const AHEAD_BYTES = 64 * 1024

const NOTHING: readonly [Parcel, number][] = []

/** What an outlet reports to its connection. */
export interface OutletOwner {
  /** More than `hardMaxBufferedBytes` wait [L8]. */
  overflowed(): void
  /** A page has left: another may be read [L16]. */
  pageLeft(): void
}

/**
 * All that leaves to one connection: answers, messages, events, in order. What still waits here can
 * be replaced by something newer; little is handed to the wire ahead of the network, so that memory
 * for a slow reader is known and bounded [L8][P7].
 */
export class Outlet {
  readonly #peer: Peer
  readonly #turn: Turn
  readonly #hardMaxBytes: number
  readonly #owner: OutletOwner
  /**
   * Parcels in order, each with how many publications before it were left out. Like the next one, null
   * while nothing waits: an idle connection holds no table.
   */
  #queue: Map<Parcel, number> | null = null
  /** The waiting parcels that a newer one of their topic may replace. */
  #replaceable: Map<string, Set<Parcel>> | null = null
  /** The messages of this turn: they leave after all that is in the queue. */
  #bundle: Bundle | null = null
  #queuedBytes = 0
  #handedBytes = 0
  #takenBytes = 0
  #queuedPages = 0
  #mustArrive = 0
  #ended = false

  constructor(peer: Peer, wiring: { turn: Turn; hardMaxBytes: number; owner: OutletOwner }) {
    this.#peer = peer
    this.#turn = wiring.turn
    this.#hardMaxBytes = wiring.hardMaxBytes
    this.#owner = wiring.owner
  }

  /** Bytes that the network has not taken yet. */
  get waitingBytes(): number {
    return this.#queuedBytes + this.#handedBytes + (this.#bundle?.bytes ?? 0)
  }

  /** Bytes that the network has taken since the start. */
  get takenBytes(): number {
    return this.#takenBytes
  }

  /** Pages of publications that wait here [L16]. */
  get pages(): number {
    return this.#queuedPages
  }

  /** Whether nothing waits but what a newer message may replace: then slowness is no fault [L8]. */
  get onlyReplaceable(): boolean {
    return this.#mustArrive === 0 && this.#handedBytes <= AHEAD_BYTES
  }

  push(parcel: Parcel): void {
    if (this.#ended) return
    const skipped = parcel.conflate === true ? this.#replaceOlder(parcel) : 0
    this.#queue ??= new Map()
    this.#queue.set(parcel, skipped)
    this.#queuedBytes += parcel.bytes
    if (parcel.conflate !== true) this.#mustArrive += 1
    if (parcel.page === true) this.#queuedPages += 1
    if (this.waitingBytes > this.#hardMaxBytes) this.#owner.overflowed()
    else this.#turn.add(this)
  }

  /** Adds what many connections get; it leaves with this turn, after all answers. */
  add(bundle: Bundle): void {
    if (this.#ended) return
    this.#bundle = this.#bundle === null ? bundle : this.#bundle.with(bundle)
    if (this.waitingBytes > AHEAD_BYTES && bundle.conflates) {
      // The reader is behind: from here on only the newest of it waits.
      const all = this.#bundle
      this.#bundle = null
      this.#queueAll(all)
      return
    }
    if (this.waitingBytes > this.#hardMaxBytes) this.#owner.overflowed()
    else this.#turn.add(this)
  }

  /** What was added comes before what is pushed from now on. */
  settle(): void {
    if (this.#bundle !== null) this.flush()
  }

  /** Hands to the wire what it may hold now. */
  flush(): void {
    if (this.#ended) return
    const pagesBefore = this.#queuedPages
    const bundle = this.#bundle
    this.#bundle = null
    if (bundle === null) this.#hand(AHEAD_BYTES)
    else this.#deliver(bundle)
    if (this.#queuedPages < pagesBefore) this.#owner.pageLeft()
  }

  /** Hands over everything that waits and then `last`; nothing leaves after that. */
  end(last: Parcel | null, flushWaiting: boolean): void {
    if (this.#ended) return
    const bundle = this.#bundle
    this.#bundle = null
    if (!flushWaiting) this.#clear()
    else if (bundle !== null) this.#queueAll(bundle)
    if (last !== null) this.push(last)
    this.#hand(Infinity)
    this.#ended = true
    this.#clear()
  }

  #replaceOlder(parcel: Parcel): number {
    const topic = parcel.topic ?? ''
    this.#replaceable ??= new Map()
    let waiting = this.#replaceable.get(topic)
    if (waiting === undefined) this.#replaceable.set(topic, (waiting = new Set()))
    let skipped = 0
    if (this.waitingBytes > AHEAD_BYTES) {
      for (const older of waiting) {
        skipped += 1 + (this.#queue?.get(older) ?? 0)
        this.#queue?.delete(older)
        this.#queuedBytes -= older.bytes
      }
      waiting.clear()
    }
    waiting.add(parcel)
    return skipped
  }

  /** In one write where all fits; else as much as the network takes at once, and the rest waits. */
  #deliver(bundle: Bundle): void {
    if (this.#queuedBytes + this.#handedBytes + bundle.bytes <= AHEAD_BYTES) {
      this.#hand(Infinity, bundle)
      return
    }
    this.#hand(AHEAD_BYTES)
    for (const part of bundle.parts(AHEAD_BYTES)) {
      if (this.#queue !== null || this.#handedBytes > 0) this.#queueAll(part)
      else this.#hand(AHEAD_BYTES, part)
      if (this.#ended) return
    }
    this.#hand(AHEAD_BYTES)
  }

  #queueAll({ parcels }: Bundle): void {
    for (const parcel of parcels) this.push(parcel)
  }

  #hand(aheadBytes: number, shared: Bundle | null = null): void {
    const packets: SizedText[] = []
    let bytes = 0
    for (const [parcel, skipped] of this.#queue ?? NOTHING) {
      if (this.#handedBytes + bytes >= aheadBytes) break
      this.#forget(parcel)
      packets.push(skipped > 0 ? withSkipped(parcel, skipped) : parcel)
      bytes += parcel.bytes
    }
    if (packets.length === 0 && shared === null) return
    bytes += shared?.bytes ?? 0
    this.#handedBytes += bytes
    this.#peer.write({ packets, shared, bytes, taker: this })
  }

  /** The network has taken so much of what was handed over. */
  taken(bytes: number): void {
    this.#handedBytes -= bytes
    this.#takenBytes += bytes
    if (this.#queue !== null) this.#turn.add(this)
  }

  #forget(parcel: Parcel): void {
    this.#queue?.delete(parcel)
    if (this.#queue?.size === 0) this.#queue = null
    this.#queuedBytes -= parcel.bytes
    if (parcel.page === true) this.#queuedPages -= 1
    if (parcel.conflate !== true) {
      this.#mustArrive -= 1
      return
    }
    const waiting = this.#replaceable?.get(parcel.topic ?? '')
    waiting?.delete(parcel)
    if (waiting?.size === 0) this.#replaceable?.delete(parcel.topic ?? '')
    if (this.#replaceable?.size === 0) this.#replaceable = null
  }

  #clear(): void {
    for (const parcel of Array.from(this.#queue?.keys() ?? [])) this.#forget(parcel)
  }
}

/** A parcel that says how many publications before it were left out. */
function withSkipped(parcel: Parcel, skipped: number): SizedText {
  const text = parcel.withSkipped?.(skipped) ?? parcel.text
  return { text, bytes: text === parcel.text ? parcel.bytes : Buffer.byteLength(text) }
}
