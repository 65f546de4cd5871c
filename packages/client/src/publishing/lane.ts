import type { Runtime, Topic } from '@bmt-central/realtime-protocol'
import { Stopwatch } from './stopwatch.js'

/**
 * The publishes of one topic, in call order [P1]. Those in flight are always its first ones: after
 * a refusal nothing more is sent until all that is on its way is answered, then it begins again at
 * its head, and goes one by one until one is accepted.
 */
export class Lane<Item> {
  readonly topic: Topic
  readonly entries: Item[] = []
  /** Runs while the server says that it can take nothing: that time does not count [L14]. */
  readonly suspended: Stopwatch
  inFlight = 0
  /** Refusals since the last acceptance, counted once for each beginning. */
  refusals = 0
  #stalled = false
  #retryAt = 0

  constructor(topic: Topic, runtime: Runtime) {
    this.topic = topic
    this.suspended = new Stopwatch(runtime)
  }

  /** The publish before the next one to be sent, where that is not acknowledged yet [W12]. */
  get predecessor(): Item | undefined {
    return this.entries[this.inFlight - 1]
  }

  /** ms until the next one may be sent; Infinity: not before an answer. */
  waitMs(now: number): number {
    const careful = this.#stalled || this.refusals > 0
    if (careful && this.inFlight > 0) return Infinity
    if (now < this.#retryAt) return this.#retryAt - now
    this.#stalled = false
    return 0
  }

  /** A refusal that may be tried again. */
  stall(): void {
    if (!this.#stalled) this.refusals += 1
    this.#stalled = true
  }

  /** Not before this. */
  hold(until: number): void {
    this.#retryAt = Math.max(this.#retryAt, until)
  }

  accepted(): void {
    this.refusals = 0
    this.suspended.run(false)
  }

  /** The link is gone: on the next one it begins at its head. */
  reset(): void {
    this.accepted()
    this.inFlight = 0
    this.#stalled = false
    this.#retryAt = 0
  }
}
