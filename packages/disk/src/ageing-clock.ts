import type { Runtime } from '@bmt-central/realtime-protocol'

/**
 * The broker's own clock: what ages are counted by [L2]. It follows the monotonic clock while the
 * broker runs, the wall clock in between, and never runs backwards, over restarts either.
 */
export class AgeingClock {
  readonly #runtime: Runtime
  readonly #aheadMs: number

  /** `lastMs`: the latest instant that was written down. */
  constructor(runtime: Runtime, lastMs: number) {
    this.#runtime = runtime
    this.#aheadMs = Math.max(runtime.wallNow(), lastMs) - runtime.monotonicNow()
  }

  now(): number {
    return this.#runtime.monotonicNow() + this.#aheadMs
  }
}
