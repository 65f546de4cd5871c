import { decodePublication, encodePublication } from './record.js'
import { KIND, keyOf, type Store, type Writing } from './store.js'

/** Publications that are not retained any more: `from` up to, and without, `end`. */
interface DroppedRange {
  readonly number: number
  readonly from: number
  readonly end: number
}

/** Where an accepted id is kept without its publication. */
interface KeptId {
  readonly key: Buffer
  readonly timestamp: number
}

/** What a transaction cleans up; given back where it failed. */
export interface Chores {
  readonly ranges: readonly DroppedRange[]
  readonly forgotten: readonly number[]
}

/** Publications of one transaction: a long list is worked off in several. */
const DROPPED_PER_COMMIT = 5_000

/**
 * What has to go from the store. It waits for the next transaction: until then a start finds more
 * than is retained, and drops it again by the policy of the stream. A publication that goes while
 * its id is still remembered leaves its record behind, without the text [P4].
 */
export class CleanUp {
  #ranges: DroppedRange[] = []
  #forgotten: number[] = []
  #keptIds: KeptId[] = []
  #firstKeptId = 0
  readonly #maxIds: number

  constructor(maxIds: number) {
    this.#maxIds = maxIds
  }

  get pending(): number {
    return this.#ranges.length + this.#forgotten.length
  }

  dropped(range: DroppedRange): void {
    const last = this.#ranges.at(-1)
    if (last?.number === range.number && last.end === range.from) {
      this.#ranges[this.#ranges.length - 1] = { ...last, end: range.end }
    } else this.#ranges.push(range)
  }

  forgotten(number: number): void {
    this.#forgotten.push(number)
  }

  /** An id without its publication, from before the start. Oldest first. */
  keeps(key: Buffer, timestamp: number): void {
    this.#keptIds.push({ key, timestamp })
  }

  /** Writes part of what waits, and says what that was. */
  write(store: Store, writing: Writing, ageLimitAt: number): Chores {
    const ranges: DroppedRange[] = []
    let room = DROPPED_PER_COMMIT
    while (room > 0) {
      const next = this.#ranges.shift()
      if (next === undefined) break
      const end = Math.min(next.end, next.from + room)
      room -= end - next.from
      const part = { ...next, end }
      ranges.push(part)
      if (end < next.end) this.#ranges.unshift({ ...next, from: end })
      this.#drop(store, writing, part, ageLimitAt)
    }
    const forgotten = this.#forgotten.splice(0)
    for (const number of forgotten) {
      for (const kind of [KIND.topic, KIND.publication, KIND.acceptedId] as const) {
        for (const key of store.keys(kind, number)) writing.remove(key)
      }
    }
    this.#removeOldIds(writing, ageLimitAt)
    return { ranges, forgotten }
  }

  /** The transaction failed: all of it waits again. */
  restore({ ranges, forgotten }: Chores): void {
    this.#ranges = [...ranges, ...this.#ranges]
    this.#forgotten = [...forgotten, ...this.#forgotten]
  }

  #drop(store: Store, writing: Writing, range: DroppedRange, ageLimitAt: number): void {
    for (let seq = range.from; seq < range.end; seq += 1) {
      const key = keyOf(KIND.publication, range.number, seq)
      const body = store.get(key)
      if (body !== undefined && body !== null) {
        const record = decodePublication(body)
        if (record.timestamp > ageLimitAt) {
          const idKey = keyOf(KIND.acceptedId, range.number, seq)
          writing.put(idKey, encodePublication(idKey, { ...record, payloadJson: '' }))
          this.keeps(idKey, record.timestamp)
        }
      }
      writing.remove(key)
    }
  }

  /** A removal that is lost with its transaction is found by the next start. */
  #removeOldIds(writing: Writing, ageLimitAt: number): void {
    for (;;) {
      const oldest = this.#keptIds[this.#firstKeptId]
      if (oldest === undefined) break
      const held = this.#keptIds.length - this.#firstKeptId
      if (oldest.timestamp > ageLimitAt && held <= this.#maxIds) break
      writing.remove(oldest.key)
      this.#firstKeptId += 1
    }
    if (this.#firstKeptId * 2 > this.#keptIds.length) {
      this.#keptIds = this.#keptIds.slice(this.#firstKeptId)
      this.#firstKeptId = 0
    }
  }
}
