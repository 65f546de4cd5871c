import { gapSince, resumeAfter, type Topic } from '@bmt-central/realtime-protocol'
import {
  PageBudget,
  type KeptStream,
  type Publication,
  type ReadQuery,
  type StreamPage,
  type TopicIds,
  type TopicState,
} from '@bmt-central/realtime-server/broker'
import { KIND, keyOf, seqOf } from './keys.js'
import { decodePublication, factsOf, heldBytesOf } from './publication-record.js'
import type { TopicRecord } from './state-records.js'
import type { Store, StoredRecord } from './store.js'

/** A record that should be there is missing or damaged. */
export class StreamDamaged extends Error {
  readonly seq: number

  constructor(seq: number) {
    super(`publication ${seq} is missing or damaged`)
    this.seq = seq
  }
}

/** What a stream is, besides its publications. */
export type StreamFacts = Omit<TopicRecord, 'topic' | 'usedAtMs' | 'earlier'>

/** One publication that is appended. */
export interface Added {
  readonly bodyBytes: number
  readonly payloadBytes: number
  readonly policy: TopicRecord['policy']
}

/** Accepted ids of a stream before it was repaired, and the epoch that their results name [P4]. */
export interface EarlierIds {
  readonly number: number
  readonly epoch: string
  readonly ids: TopicIds
}

/**
 * The stream of one topic, its publications on the disk: in memory are only its bounds and sums,
 * however many are retained. Instants are of the broker's own clock, passed in.
 */
export class DiskStream implements KeptStream {
  readonly #store: Store
  #number: number
  #facts: StreamFacts
  /** Instant of the oldest retained publication, once it was asked for. */
  #oldestAtMs: number | null = null
  earlier: EarlierIds | null = null

  constructor(store: Store, place: { readonly number: number; readonly facts: StreamFacts }) {
    this.#store = store
    this.#number = place.number
    this.#facts = place.facts
  }

  /** Part of the keys of its records. */
  get number(): number {
    return this.#number
  }

  get facts(): StreamFacts {
    return this.#facts
  }

  get epoch(): string {
    return this.#facts.epoch
  }

  get head(): number {
    return this.#facts.head
  }

  get oldest(): number {
    return this.#facts.oldest
  }

  get size(): number {
    return this.#facts.head - this.#facts.oldest + 1
  }

  get heldBytes(): number {
    return this.#facts.held
  }

  /** Takes what was committed as `head + 1`. What the policy has no room for goes, oldest first. */
  append(added: Added, nowMs: number): void {
    this.#facts = this.factsWith([added])
    const { policy } = added
    while (this.size > policy.size || this.#facts.bytes > policy.bytes) this.dropOldest()
    this.expire(nowMs)
  }

  /** What the stream will be with these appended, before anything goes. */
  factsWith(added: readonly Added[]): StreamFacts {
    let facts = this.#facts
    for (const { bodyBytes, payloadBytes, policy } of added) {
      const { size, ttlMs, bytes } = policy
      facts = {
        ...facts,
        head: facts.head + 1,
        bytes: facts.bytes + payloadBytes,
        held: facts.held + heldBytesOf(bodyBytes),
        policy: { size, ttlMs, bytes },
      }
    }
    return facts
  }

  expire(nowMs: number): void {
    const { ttlMs } = this.#facts.policy
    while (this.size > 0) {
      this.#oldestAtMs ??= this.#oldestFacts()?.agedAtMs ?? null
      // Damage is found, and repaired, by who reads it.
      if (this.#oldestAtMs === null || nowMs - this.#oldestAtMs < ttlMs) return
      this.dropOldest()
    }
  }

  dropOldest(): void {
    const { size } = this
    if (size <= 0) return
    const { oldest, bytes, held } = this.#facts
    const last = size === 1
    const facts = last ? null : this.#oldestFacts()
    // A damaged one that has to go anyway takes nothing along: its share is guessed.
    const payloadBytes = facts?.payloadBytes ?? Math.floor(bytes / size)
    const heldBytes = facts?.heldBytes ?? Math.floor(held / size)
    this.#oldestAtMs = null
    this.#facts = {
      ...this.#facts,
      oldest: oldest + 1,
      bytes: last ? 0 : Math.max(0, bytes - payloadBytes),
      held: last ? 0 : Math.max(0, held - heldBytes),
    }
  }

  /** Goes on as another stream, which a repair made of it. */
  become(place: { readonly number: number; readonly facts: StreamFacts }): void {
    this.#number = place.number
    this.#facts = place.facts
    this.#oldestAtMs = null
  }

  /** Part of the stream, and what is missing of it [P3]. @throws StreamDamaged */
  read(topic: Topic, query: ReadQuery, nowMs: number): StreamPage {
    this.expire(nowMs)
    const { epoch, head, oldest } = this.#facts
    const { since, before } = query
    const present = { epoch, head, oldest }
    const foreign = typeof before === 'object' && before.epoch !== epoch ? before : null
    const last = before === undefined || foreign !== null ? head : lastBefore(before, head)
    // A `before` of another epoch is answered like none; the gap says that it named nothing.
    const gap =
      (since === undefined ? null : gapSince(since, present)) ??
      (foreign === null ? null : gapSince({ epoch: foreign.epoch, seq: 0 }, present))
    const part =
      since === undefined
        ? this.#newest(topic, last, query)
        : this.#after(topic, { after: resumeAfter(since, gapSince(since, present)), last }, query)
    return { epoch, head, gap, ...part }
  }

  #oldestFacts(): { agedAtMs: number; payloadBytes: number; heldBytes: number } | null {
    const body = this.#store.get(keyOf(KIND.publication, this.#number, this.#facts.oldest))
    if (body === undefined || body === null) return null
    return { ...factsOf(body), heldBytes: heldBytesOf(body.length) }
  }

  /** The oldest that are later than `after`, up to `last`. */
  #after(topic: Topic, range: { after: number; last: number }, query: ReadQuery): PagePart {
    const budget = new PageBudget(query)
    const publications: Publication[] = []
    let seq = Math.max(range.after + 1, this.oldest)
    const end = Math.min(range.last, seq + query.limit - 1)
    if (seq <= end) {
      for (const record of this.#store.range(this.#keyOf(seq), this.#keyOf(end + 1))) {
        const publication = this.#publicationOf(topic, record, seq)
        if (!budget.takes(publication.payloadBytes)) return { publications, more: true }
        publications.push(publication)
        seq += 1
      }
      if (seq <= end) throw new StreamDamaged(seq)
    }
    return { publications, more: seq <= range.last }
  }

  /** The newest up to `last`. One by one: how far back a page reaches is known at its end only. */
  #newest(topic: Topic, last: number, query: ReadQuery): PagePart {
    const budget = new PageBudget(query)
    const publications: Publication[] = []
    const { oldest } = this
    let seq = last
    for (; seq >= oldest && publications.length < query.limit; seq -= 1) {
      const key = this.#keyOf(seq)
      const record = { key, body: this.#store.get(key) ?? null }
      const publication = this.#publicationOf(topic, record, seq)
      if (!budget.takes(publication.payloadBytes)) break
      publications.push(publication)
    }
    return { publications: publications.reverse(), more: seq >= oldest }
  }

  #publicationOf(topic: Topic, { key, body }: StoredRecord, seq: number): Publication {
    if (body === null || seqOf(key) !== seq) throw new StreamDamaged(seq)
    const { id, from, payloadJson, timestamp } = decodePublication(body)
    const { payloadBytes } = factsOf(body)
    return { topic, id, from, seq, epoch: this.epoch, payloadJson, payloadBytes, timestamp }
  }

  #keyOf(seq: number): Buffer {
    return keyOf(KIND.publication, this.#number, seq)
  }
}

/** What is known of one topic. */
export type DiskTopic = TopicState<DiskStream>

type PagePart = Pick<StreamPage, 'publications' | 'more'>

const lastBefore = (before: number | { readonly seq: number }, head: number): number =>
  Math.min(head, (typeof before === 'number' ? before : before.seq) - 1)

/** A stream of which nothing was ever published. */
export function emptyFacts(epoch: string): StreamFacts {
  const policy = { size: 0, ttlMs: 0, bytes: 0 }
  return { epoch, head: 0, oldest: 1, bytes: 0, held: 0, policy }
}
