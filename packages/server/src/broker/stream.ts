import { gapSince, resumeAfter, type Gap, type Position } from '@bmt-central/realtime-protocol'
import type { Publication } from '../publication.js'
import type { ReadQuery, StreamPage, StreamPolicy } from './broker.js'
import { PageBudget } from './page-budget.js'

/** What a retained publication takes in memory besides its payload: object, id, its place in the lists. */
const PUBLICATION_OVERHEAD_BYTES = 256

/** Dropped places at the front that are worth moving the rest for. */
const MIN_COMPACTION = 32

/**
 * The retained publications of one topic: ordered, bounded by number, age and bytes [L2], and the
 * position, which outlives them. No clock: instants are ms of a clock that never runs backwards,
 * passed in. Appending and dropping take constant time on average; a page takes as long as it is.
 */
export class Stream {
  readonly epoch: string
  #head = 0
  #ttlMs = Infinity
  /** Both lists have the same length; what lies before `#start` has been dropped. */
  #publications: (Publication | undefined)[] = []
  #appendedAt: number[] = []
  #start = 0
  #bytes = 0
  #heldBytes = 0

  constructor(epoch: string) {
    this.epoch = epoch
  }

  /** `seq` of the newest publication, retained or not; 0 where there was none. */
  get head(): number {
    return this.#head
  }

  /** `seq` of the oldest retained publication; `head + 1` where none is retained. */
  get oldest(): number {
    return this.#head - this.size + 1
  }

  /** Publications that are retained. */
  get size(): number {
    return this.#publications.length - this.#start
  }

  /** Payload bytes that are retained. */
  get bytes(): number {
    return this.#bytes
  }

  /** About what the retained publications take in memory: what [L18] bounds. */
  get heldBytes(): number {
    return this.#heldBytes
  }

  /** Adds the next publication: its `seq` is `head + 1`. What the policy has no room for goes, oldest first. */
  append(publication: Publication, policy: StreamPolicy, nowMs: number): void {
    if (publication.seq !== this.#head + 1 || publication.epoch !== this.epoch) {
      throw new Error(`publication ${publication.seq} cannot follow ${this.#head}`)
    }
    this.#head = publication.seq
    this.#ttlMs = policy.ttlMs
    this.#publications.push(publication)
    this.#appendedAt.push(nowMs)
    this.#bytes += publication.payloadBytes
    this.#heldBytes += heldBytesOf(publication)
    while (this.size > policy.size || this.#bytes > policy.bytes) this.dropOldest()
    this.expire(nowMs)
  }

  /** Drops what is older than the policy of the last append allows. */
  expire(nowMs: number): void {
    while (this.size > 0 && nowMs - (this.#appendedAt[this.#start] ?? 0) >= this.#ttlMs) {
      this.dropOldest()
    }
  }

  /** Drops the oldest retained publication, if there is one. The position stays. */
  dropOldest(): void {
    const dropped = this.#publications[this.#start]
    if (dropped === undefined) return
    this.#bytes -= dropped.payloadBytes
    this.#heldBytes -= heldBytesOf(dropped)
    this.#publications[this.#start] = undefined
    this.#start += 1
    const half = this.#start * 2 >= this.#publications.length
    if (this.size === 0 || (half && this.#start >= MIN_COMPACTION)) {
      this.#publications = this.#publications.slice(this.#start)
      this.#appendedAt = this.#appendedAt.slice(this.#start)
      this.#start = 0
    }
  }

  /** Part of the stream, and what is missing of it [P3]. The semantics are those of [W13]. */
  read(query: ReadQuery, nowMs: number): StreamPage {
    this.expire(nowMs)
    const { since, before } = query
    const foreign = typeof before === 'object' && before.epoch !== this.epoch ? before : null
    const last = before === undefined || foreign !== null ? this.#head : this.#lastBefore(before)
    // A `before` of another epoch is answered like none; the gap says that it named nothing.
    const gap =
      (since === undefined ? null : this.#gapSince(since)) ??
      (foreign === null ? null : this.#gapSince({ epoch: foreign.epoch, seq: 0 }))
    const part =
      since === undefined
        ? this.#newest(last, query)
        : this.#after(resumeAfter(since, this.#gapSince(since)), last, query)
    return { epoch: this.epoch, head: this.#head, gap, ...part }
  }

  #gapSince(since: Position): Gap | null {
    return gapSince(since, { epoch: this.epoch, head: this.#head, oldest: this.oldest })
  }

  #lastBefore(before: number | Position): number {
    return Math.min(this.#head, (typeof before === 'number' ? before : before.seq) - 1)
  }

  /** The oldest that are later than `after`, up to `last`. */
  #after(after: number, last: number, query: ReadQuery): PagePart {
    const budget = new PageBudget(query)
    const first = Math.max(after + 1, this.oldest)
    let seq = first
    while (seq <= last && budget.takes(this.#at(seq).payloadBytes)) seq += 1
    return { publications: this.#slice(first, seq), more: seq <= last }
  }

  /** The newest up to `last`. */
  #newest(last: number, query: ReadQuery): PagePart {
    const budget = new PageBudget(query)
    const { oldest } = this
    let seq = last
    while (seq >= oldest && budget.takes(this.#at(seq).payloadBytes)) seq -= 1
    return { publications: this.#slice(seq + 1, last + 1), more: seq >= oldest }
  }

  #indexOf(seq: number): number {
    return this.#start + seq - this.oldest
  }

  #at(seq: number): Publication {
    const publication = this.#publications[this.#indexOf(seq)]
    if (publication === undefined) throw new Error(`publication ${seq} is not retained`)
    return publication
  }

  #slice(from: number, end: number): Publication[] {
    if (end <= from) return []
    const part = this.#publications.slice(this.#indexOf(from), this.#indexOf(end))
    return part.filter((publication) => publication !== undefined)
  }
}

type PagePart = Pick<StreamPage, 'publications' | 'more'>

/** Text beyond Latin-1 takes two bytes a character in memory, however few such characters there are. */
function heldBytesOf({ payloadJson, payloadBytes }: Publication): number {
  const text = payloadBytes === payloadJson.length ? payloadBytes : payloadJson.length * 2
  return text + PUBLICATION_OVERHEAD_BYTES
}
