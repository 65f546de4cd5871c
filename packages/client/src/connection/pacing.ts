import type { Runtime } from '@bmt-central/realtime-protocol'

/** A tenth is left to the jitter between our clock and the server's. */
const SHARE = 0.9

/** A token bucket that keeps us below a rate at which the server would refuse [L6][L7]. */
export class Bucket {
  readonly #runtime: Runtime
  readonly #perMs: number
  readonly #capacity: number
  #tokens: number
  #countedAt: number

  /** Starts full. */
  constructor(runtime: Runtime, perSecond: number, burst: number) {
    this.#runtime = runtime
    this.#perMs = Math.max(perSecond * SHARE, 0.1) / 1_000
    this.#capacity = Math.max(burst * SHARE, 1)
    this.#tokens = this.#capacity
    this.#countedAt = runtime.monotonicNow()
  }

  /** Whole tokens that may be taken now. */
  get available(): number {
    this.#refill()
    return Math.floor(this.#tokens)
  }

  /** ms until so many may be taken; 0: now. What exceeds the burst goes when the bucket is full. */
  waitMs(cost: number): number {
    this.#refill()
    return Math.max(0, (Math.min(cost, this.#capacity) - this.#tokens) / this.#perMs)
  }

  /** Takes what was waited for, or what cannot wait: then the next ones wait longer. */
  take(cost: number): void {
    this.#refill()
    this.#tokens -= Math.min(cost, this.#capacity)
  }

  /** The server found us too quick: whatever was thought to be left is not. */
  drain(): void {
    this.#refill()
    this.#tokens = Math.min(this.#tokens, 0)
  }

  #refill(): void {
    const now = this.#runtime.monotonicNow()
    this.#tokens = Math.min(this.#capacity, this.#tokens + (now - this.#countedAt) * this.#perMs)
    this.#countedAt = now
  }
}
