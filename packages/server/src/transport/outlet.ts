import type { Cancel } from '@bmt-central/realtime-protocol'
import type { Peer } from './peer.js'

/** So much is handed to the wire ahead of the network, or one larger packet [P10]. */
const AHEAD_BYTES = 64 * 1024

/** One packet on its way to a connection. Events are shared by all its receivers. */
export interface Parcel {
  /** A Socket.IO packet as text. */
  readonly text: string
  /** Its UTF-8 length. */
  readonly bytes: number
  /** Set for events. */
  readonly topic?: string
  /** Whether a newer parcel of the topic may take its place while the reader is slow [L8][P11]. */
  readonly conflate?: boolean
  /** The text where `skipped` publications before it were left out; ephemeral ones do not say so. */
  readonly withSkipped?: (skipped: number) => string
  /** Whether it carries a page of publications [L16]. */
  readonly page?: boolean
}

/** What an outlet reports to its connection. */
export interface OutletOwner {
  /** More than `hardMaxBufferedBytes` wait [L8]. */
  overflowed(): void
  /** A page has left: another may be read [L16]. */
  pageLeft(): void
}

/** Flushes every outlet that has something to say, once a turn of the event loop. */
export class TurnFlusher {
  readonly #dirty = new Set<Outlet>()
  readonly #nextTurn: (run: () => void) => Cancel
  readonly #failed: (error: unknown) => void
  #scheduled = false

  /** `nextTurn` runs a function after the events of this turn (`runtime.after(0, …)`). */
  constructor(nextTurn: (run: () => void) => Cancel, failed: (error: unknown) => void) {
    this.#nextTurn = nextTurn
    this.#failed = failed
  }

  add(outlet: Outlet): void {
    this.#dirty.add(outlet)
    if (this.#scheduled) return
    this.#scheduled = true
    this.#nextTurn(() => {
      this.#scheduled = false
      const outlets = Array.from(this.#dirty)
      this.#dirty.clear()
      for (const next of outlets) this.#flush(next)
    })
  }

  /** A wire that throws costs the others nothing [P7]. */
  #flush(outlet: Outlet): void {
    try {
      outlet.flush()
    } catch (error) {
      this.#failed(error)
    }
  }
}

/**
 * All that leaves to one connection: answers, messages, events, in order. What still waits here can
 * be replaced by something newer; little is handed to the wire ahead of the network, so that memory
 * for a slow reader is known and bounded [L8][P7].
 */
export class Outlet {
  readonly #peer: Peer
  readonly #flusher: TurnFlusher
  readonly #hardMaxBytes: number
  readonly #owner: OutletOwner
  /** Parcels in order, each with how many publications before it were left out. */
  readonly #queue = new Map<Parcel, number>()
  /** The waiting parcels that a newer one of their topic may replace. */
  readonly #replaceable = new Map<string, Set<Parcel>>()
  #queuedBytes = 0
  #handedBytes = 0
  #takenBytes = 0
  #queuedPages = 0
  #mustArrive = 0
  #ended = false

  constructor(
    peer: Peer,
    wiring: { flusher: TurnFlusher; hardMaxBytes: number; owner: OutletOwner },
  ) {
    this.#peer = peer
    this.#flusher = wiring.flusher
    this.#hardMaxBytes = wiring.hardMaxBytes
    this.#owner = wiring.owner
  }

  /** Bytes that the network has not taken yet. */
  get waitingBytes(): number {
    return this.#queuedBytes + this.#handedBytes
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
    this.#queue.set(parcel, skipped)
    this.#queuedBytes += parcel.bytes
    if (parcel.conflate !== true) this.#mustArrive += 1
    if (parcel.page === true) this.#queuedPages += 1
    if (this.waitingBytes > this.#hardMaxBytes) this.#owner.overflowed()
    else this.#flusher.add(this)
  }

  /** Hands to the wire what it may hold now. */
  flush(): void {
    if (this.#ended) return
    const pagesBefore = this.#queuedPages
    this.#hand(AHEAD_BYTES)
    if (this.#queuedPages < pagesBefore) this.#owner.pageLeft()
  }

  /** Hands over everything that waits and then `last`; nothing leaves after that. */
  end(last: Parcel | null, flushWaiting: boolean): void {
    if (this.#ended) return
    if (!flushWaiting) this.#clear()
    if (last !== null) this.push(last)
    this.#hand(Infinity)
    this.#ended = true
    this.#clear()
  }

  #replaceOlder(parcel: Parcel): number {
    const topic = parcel.topic ?? ''
    let waiting = this.#replaceable.get(topic)
    if (waiting === undefined) this.#replaceable.set(topic, (waiting = new Set()))
    let skipped = 0
    if (this.waitingBytes > AHEAD_BYTES) {
      for (const older of waiting) {
        skipped += 1 + (this.#queue.get(older) ?? 0)
        this.#queue.delete(older)
        this.#queuedBytes -= older.bytes
      }
      waiting.clear()
    }
    waiting.add(parcel)
    return skipped
  }

  #hand(aheadBytes: number): void {
    const packets: string[] = []
    let bytes = 0
    for (const [parcel, skipped] of this.#queue) {
      if (this.#handedBytes + bytes >= aheadBytes) break
      this.#forget(parcel)
      packets.push(skipped > 0 ? (parcel.withSkipped?.(skipped) ?? parcel.text) : parcel.text)
      bytes += parcel.bytes
    }
    if (packets.length === 0) return
    this.#handedBytes += bytes
    this.#peer.write({
      packets,
      bytes,
      taken: () => {
        this.#handedBytes -= bytes
        this.#takenBytes += bytes
        if (this.#queue.size > 0) this.#flusher.add(this)
      },
    })
  }

  #forget(parcel: Parcel): void {
    this.#queue.delete(parcel)
    this.#queuedBytes -= parcel.bytes
    if (parcel.page === true) this.#queuedPages -= 1
    if (parcel.conflate !== true) {
      this.#mustArrive -= 1
      return
    }
    const waiting = this.#replaceable.get(parcel.topic ?? '')
    waiting?.delete(parcel)
    if (waiting?.size === 0) this.#replaceable.delete(parcel.topic ?? '')
  }

  #clear(): void {
    for (const parcel of Array.from(this.#queue.keys())) this.#forget(parcel)
  }
}
