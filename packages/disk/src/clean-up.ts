import { commitFactsOf } from './commit-record.js'
import { keyOf, KIND } from './keys.js'
import type { DoomedRecord } from './state-records.js'
import { putJson, remove, type Change, type Store } from './store.js'

/** Publications that are not retained any more: `from` up to, and without, `end`. */
export interface DroppedRange {
  readonly number: number
  readonly from: number
  readonly end: number
}

/** Records that one transaction removes: a long list is worked off in several. */
const REMOVED_PER_COMMIT = 5_000
/** Records of ids that one transaction looks at: more than it adds. */
const ID_RECORDS_PER_COMMIT = 500

/** What a transaction cleans up, and what is so once it is committed. */
export interface Chores {
  readonly changes: Change[]
  readonly done: () => void
}

interface OldIds {
  readonly changes: Change[]
  readonly count: number
  readonly oldestAtMs: number | null
}

/**
 * What has to go from the store. It waits for the next transaction, and stays waiting where that
 * fails. Whatever is not removed at the end is known to the next start: a topic's record names the
 * oldest publication that is there, a doomed record what a forgotten topic has left.
 */
export class CleanUp {
  readonly #store: Store
  readonly #windowMs: number
  readonly #maxIds: number
  /** Ranges of topics that have no record any more. */
  #doomed: DroppedRange[] = []
  #storedIds = 0
  /** Records of ids before this one are not in the number: they were too old at the start. */
  #countedFrom: Buffer = keyOf(KIND.commit)
  /** Instant of the oldest stored ids; null where that has to be looked up. */
  #oldestIdsAtMs: number | null = null

  constructor(store: Store, limits: { readonly windowMs: number; readonly maxIds: number }) {
    this.#store = store
    this.#windowMs = limits.windowMs
    this.#maxIds = limits.maxIds
  }

  get pending(): number {
    return this.#doomed.length
  }

  /** Publications of a topic whose record goes, or went, with a `doomedRecord`. */
  doomed(range: DroppedRange): void {
    if (range.end > range.from) this.#doomed.push(range)
  }

  /** What a start has found: `from` the first record that counts. */
  foundIds(count: number, from: Buffer): void {
    this.#storedIds = count
    this.#countedFrom = from
  }

  addedIds(count: number): void {
    this.#storedIds += count
  }

  /** `ids`: whether those that are too old or too many go, too. */
  plan(nowMs: number, { ids: idsToo }: { readonly ids: boolean }): Chores {
    let room = REMOVED_PER_COMMIT
    const changes: Change[] = []
    const doomed = [...this.#doomed]
    const left: DroppedRange[] = []
    for (const { number, from, end } of doomed) {
      const until = Math.min(end, from + room)
      room -= until - from
      for (let seq = from; seq < until; seq += 1) {
        changes.push(remove(keyOf(KIND.publication, number, seq)))
      }
      const rest = { number, from: until, end }
      if (until < end) left.push(rest)
      if (until > from) {
        changes.push(until < end ? doomedRecord(rest) : remove(keyOf(KIND.doomed, number)))
      }
    }
    const ids = idsToo ? this.#oldIds(nowMs) : this.#noIds()
    changes.push(...ids.changes)
    return {
      changes,
      done: () => {
        this.#doomed.splice(0, doomed.length, ...left)
        this.#storedIds -= ids.count
        this.#oldestIdsAtMs = ids.oldestAtMs
      },
    }
  }

  /** Ids that are too old, or too many. */
  #oldIds(nowMs: number): OldIds {
    const changes: Change[] = []
    let count = 0
    const oldestAtMs = this.#oldestIdsAtMs
    const tooOld = (atMs: number): boolean => nowMs - atMs >= this.#windowMs
    if (this.#storedIds <= this.#maxIds && oldestAtMs !== null && !tooOld(oldestAtMs)) {
      return { changes, count, oldestAtMs }
    }
    for (const { key, body } of this.#store.records(KIND.commit, ID_RECORDS_PER_COMMIT)) {
      const facts = body === null ? { agedAtMs: -Infinity, count: 0 } : commitFactsOf(body)
      if (!tooOld(facts.agedAtMs) && this.#storedIds - count <= this.#maxIds) {
        return { changes, count, oldestAtMs: facts.agedAtMs }
      }
      changes.push(remove(key))
      if (key.compare(this.#countedFrom) >= 0) count += facts.count
    }
    return { changes, count, oldestAtMs: null }
  }

  #noIds(): OldIds {
    return { changes: [], count: 0, oldestAtMs: this.#oldestIdsAtMs }
  }
}

/** What a start finds of a range that it has to go on with. */
export function doomedRecord({ number, from, end }: DroppedRange): Change {
  const record: DoomedRecord = { from, end }
  return putJson(keyOf(KIND.doomed, number), record)
}
