import { commitFactsOf, decodeCommit } from '../commit-record.js'
import { KIND, kindOf, numberOf, seqOf } from '../keys.js'
import { decodePublication, factsOf } from '../publication-record.js'
import { refuseOtherFormat } from '../opened.js'
import type { MetaRecord, TopicRecord } from '../state-records.js'
import { RANK, type Rank } from './page-ranks.js'

/** What is known of one number that a topic had, has, or seems to have. */
interface Numbered {
  topic: string | null
  record: TopicRecord | null
  recordRank: Rank
  /** Best of any record with the number. */
  rank: Rank
  /** The topic is forgotten; what it left is still being removed. */
  doomed: boolean
  /** Publications on pages that are certainly current. */
  current: { count: number; first: number; last: number }
}

/** A stream that is taken over. */
export interface FoundStream {
  readonly number: number
  readonly topic: string
  /** Null where the topic's own record is lost. */
  readonly record: TopicRecord | null
  /** Certainly all of it, undamaged, as the last transaction left it: it keeps its epoch. */
  readonly whole: boolean
  /** Of the publications; others with the number were dropped, or never committed. */
  readonly oldest: number
  readonly last: number
}

/**
 * What the records of a file say together. Topics are kept in memory, publications are not. Of
 * several versions of a topic's record the current one counts, else the one that knows most.
 */
export class Found {
  readonly #numbered = new Map<number, Numbered>()
  #meta: { record: MetaRecord; rank: Rank } | null = null
  nextNumber = 1
  clockAtMs = 0

  /** @throws RealtimeError `invalid_options` where another version wrote the store */
  add(key: Buffer, body: Buffer, rank: Rank): void {
    const kind = kindOf(key)
    if (kind === KIND.meta) this.#addMeta(body, rank)
    else if (kind === KIND.topic) this.#addTopic(numberOf(key), body, rank)
    else if (kind === KIND.publication) this.#addPublication(key, body, rank)
    else if (kind === KIND.commit) this.#addCommit(body)
    else if (kind === KIND.doomed) this.#addDoomed(numberOf(key), rank)
  }

  /** The record, if it is certainly what the last transaction left. */
  get currentMeta(): MetaRecord | null {
    return this.#meta?.rank === RANK.current ? this.#meta.record : null
  }

  /**
   * One stream for each topic. Where a topic seems to have several numbers the current one counts,
   * else the last: numbers are given once, and a repaired stream takes its publications along.
   */
  streams(): FoundStream[] {
    const byTopic = new Map<string, { number: number; facts: Numbered }>()
    for (const [number, facts] of this.#numbered) {
      const { topic } = facts
      const isForgotten = facts.doomed && facts.recordRank < RANK.current
      if (topic === null || isForgotten || facts.rank < RANK.unknown) continue
      const other = byTopic.get(topic)
      if (other === undefined || isBetter({ number, facts }, other)) {
        byTopic.set(topic, { number, facts })
      }
    }
    return [...byTopic].map(([topic, { number, facts }]) => streamOf(number, topic, facts))
  }

  #addMeta(body: Buffer, rank: Rank): void {
    const record = JSON.parse(body.toString()) as MetaRecord
    refuseOtherFormat(record.format)
    this.nextNumber = Math.max(this.nextNumber, record.nextNumber)
    this.clockAtMs = Math.max(this.clockAtMs, record.clockAtMs)
    if (rank > (this.#meta?.rank ?? RANK.none)) this.#meta = { record, rank }
  }

  #addTopic(number: number, body: Buffer, rank: Rank): void {
    const record = JSON.parse(body.toString()) as TopicRecord
    this.clockAtMs = Math.max(this.clockAtMs, record.usedAtMs)
    const facts = this.#of(number, rank)
    facts.topic = record.topic
    const before = facts.record
    const later =
      before === null ||
      rank > facts.recordRank ||
      (rank === facts.recordRank && knowsMore(record, before))
    if (!later) return
    facts.record = record
    facts.recordRank = rank
  }

  #addPublication(key: Buffer, body: Buffer, rank: Rank): void {
    const facts = this.#of(numberOf(key), rank)
    facts.topic ??= decodePublication(body).topic
    this.clockAtMs = Math.max(this.clockAtMs, factsOf(body).agedAtMs)
    if (rank !== RANK.current) return
    const seq = seqOf(key)
    const { current } = facts
    current.count += 1
    current.first = Math.min(current.first, seq)
    current.last = Math.max(current.last, seq)
  }

  /** One that may be stale, or of a transaction that failed, dooms nothing. */
  #addDoomed(number: number, rank: Rank): void {
    const facts = this.#of(number, rank)
    if (rank === RANK.current) facts.doomed = true
  }

  #addCommit(body: Buffer): void {
    this.clockAtMs = Math.max(this.clockAtMs, commitFactsOf(body).agedAtMs)
    for (const { number } of decodeCommit(body).ids) this.#sawNumber(number)
  }

  #of(number: number, rank: Rank): Numbered {
    this.#sawNumber(number)
    let facts = this.#numbered.get(number)
    if (facts === undefined) {
      const current = { count: 0, first: Infinity, last: 0 }
      const record = { record: null, recordRank: RANK.none }
      facts = { topic: null, ...record, rank, doomed: false, current }
      this.#numbered.set(number, facts)
    }
    if (rank > facts.rank) facts.rank = rank
    return facts
  }

  #sawNumber(number: number): void {
    this.nextNumber = Math.max(this.nextNumber, number + 1)
  }
}

/** `head` and `oldest` of a number only grow. */
const knowsMore = (one: TopicRecord, other: TopicRecord): boolean =>
  one.head > other.head || (one.head === other.head && one.oldest >= other.oldest)

function isBetter(
  one: { number: number; facts: Numbered },
  other: { number: number; facts: Numbered },
): boolean {
  const [isCurrent, otherIs] = [one, other].map(({ facts }) => facts.recordRank === RANK.current)
  return isCurrent === otherIs ? one.number > other.number : isCurrent === true
}

function streamOf(number: number, topic: string, facts: Numbered): FoundStream {
  const { record, recordRank, current } = facts
  if (record === null) return { number, topic, record, whole: false, oldest: 1, last: Infinity }
  const { oldest, head } = record
  const retained = head - oldest + 1
  const isCurrent = recordRank === RANK.current
  const none = retained === 0 && current.count === 0
  const all = current.count === retained && current.first === oldest && current.last === head
  const whole = isCurrent && (none || all)
  return { number, topic, record, whole, oldest, last: isCurrent ? head : Infinity }
}
