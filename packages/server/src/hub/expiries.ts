import type { Cancel, Runtime } from '@bmt-central/realtime-protocol'

/** The two clocks do not tick at the same moment: less than this is no difference. */
const CLOCKS_APART_MS = 1

/** Something that ends at an instant. */
export interface Expiring {
  /** ms since the Unix epoch. */
  readonly expiresAt: number
  /** Kept by `Expiries`: where it stands in there; -1: it does not. */
  expiryIndex: number
}

/**
 * What ends with its token [P10], the earliest first: one timer for all of it. A heap, so that tens of
 * thousands come and go at little cost.
 */
export class Expiries<T extends Expiring> {
  readonly #heap: T[] = []
  readonly #runtime: Runtime
  readonly #expired: (one: T) => void
  #timer: { readonly dueAt: number; readonly cancel: Cancel } | null = null

  /** `expired` is called once for each, when its instant has come by the wall clock. */
  constructor(runtime: Runtime, expired: (one: T) => void) {
    this.#runtime = runtime
    this.#expired = expired
  }

  get size(): number {
    return this.#heap.length
  }

  add(one: T): void {
    this.#up(this.#heap.length, one)
    this.#watch()
  }

  /** Nothing where it is not, or no longer, waited for. */
  remove(one: T): void {
    const index = one.expiryIndex
    if (index < 0) return
    one.expiryIndex = -1
    const last = this.#heap.pop()
    if (last !== undefined && last !== one) {
      this.#down(index, last)
      this.#up(last.expiryIndex, last)
    }
    if (this.#heap.length === 0) this.#watch()
  }

  /** Ends what is over by now; called at its time, and after the clock may have been set. */
  sweep(): void {
    const now = this.#runtime.wallNow()
    for (let first = this.#heap[0]; first !== undefined; first = this.#heap[0]) {
      if (first.expiresAt > now) break
      this.remove(first)
      this.#expired(first)
    }
    this.#watch()
  }

  /** Timers go by the monotonic clock: whether the one that runs is early enough depends on both. */
  #watch(): void {
    const first = this.#heap[0]
    if (first === undefined) {
      this.#timer?.cancel()
      this.#timer = null
      return
    }
    const leftMs = Math.max(0, first.expiresAt - this.#runtime.wallNow())
    const dueAt = this.#runtime.monotonicNow() + leftMs
    if (this.#timer !== null && this.#timer.dueAt < dueAt + CLOCKS_APART_MS) return
    this.#timer?.cancel()
    const cancel = this.#runtime.after(leftMs, () => {
      this.#timer = null
      this.sweep()
    })
    this.#timer = { dueAt, cancel }
  }

  /** Puts one into the gap at `start` or above it. */
  #up(start: number, one: T): void {
    let index = start
    while (index > 0) {
      const above = (index - 1) >> 1
      const parent = this.#heap[above]
      if (parent === undefined || parent.expiresAt <= one.expiresAt) break
      this.#put(index, parent)
      index = above
    }
    this.#put(index, one)
  }

  /** Puts one into the gap at `start` or below it. */
  #down(start: number, one: T): void {
    let index = start
    for (;;) {
      const left = 2 * index + 1
      const [a, b] = [this.#heap[left], this.#heap[left + 1]]
      if (a === undefined) break
      const [child, below] =
        b !== undefined && b.expiresAt < a.expiresAt ? [b, left + 1] : [a, left]
      if (child.expiresAt >= one.expiresAt) break
      this.#put(index, child)
      index = below
    }
    this.#put(index, one)
  }

  #put(index: number, one: T): void {
    this.#heap[index] = one
    one.expiryIndex = index
  }
}
