import { commitFactsOf } from './commit-record.js'
import { KIND } from './keys.js'
import type { Store } from './store.js'

/** The accepted ids of a store that are remembered still [P4][L17]: the newest, from one record on. */
export interface StoredIds {
  /** Key of their oldest record; null where there is none. */
  readonly first: Buffer | null
  readonly count: number
  /** Keys of records among them that are damaged. */
  readonly damaged: readonly Buffer[]
  /**
   * Where more are within the window than may be remembered: when the youngest of the quarter was
   * accepted that goes next. Null where all are remembered.
   */
  readonly cutUntilMs: number | null
}

export const NO_STORED_IDS: StoredIds = {
  first: null,
  count: 0,
  damaged: [],
  cutUntilMs: null,
}

/** Part of the number that is remembered however many come: `AcceptedIds` lets quarters go. */
const KEPT_AT_LEAST = 3 / 4

/**
 * Looks for them from the newest on: whatever is past the window is not read. Every record is checked,
 * since a damaged one takes the whole window with it; the ids themselves are read later.
 */
export function findStoredIds(
  store: Store,
  bounds: { readonly nowMs: number; readonly windowMs: number; readonly maxIds: number },
): StoredIds {
  const { nowMs, windowMs, maxIds } = bounds
  const damaged: Buffer[] = []
  let first: Buffer | null = null
  let count = 0
  let quarterAtMs: number | null = null
  for (const { key, body } of store.backwards(KIND.commit)) {
    if (body === null) {
      damaged.push(key)
      continue
    }
    const { agedAtMs, count: more } = commitFactsOf(body)
    if (nowMs - agedAtMs >= windowMs) break
    if (count + more > maxIds * KEPT_AT_LEAST) quarterAtMs ??= agedAtMs
    if (count + more > maxIds) return { first, count, damaged, cutUntilMs: quarterAtMs }
    count += more
    first = key
  }
  return { first, count, damaged, cutUntilMs: null }
}
