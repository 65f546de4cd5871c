import type { Runtime } from '@bmt-central/realtime-protocol'

/** Adds up the time during which it runs. */
export class Stopwatch {
  readonly #runtime: Runtime
  #total = 0
  #startedAt: number | null = null

  constructor(runtime: Runtime) {
    this.#runtime = runtime
  }

  get running(): boolean {
    return this.#startedAt !== null
  }

  get ms(): number {
    const running = this.#startedAt === null ? 0 : this.#runtime.monotonicNow() - this.#startedAt
    return this.#total + running
  }

  run(on: boolean): void {
    this.#total = this.ms
    this.#startedAt = on ? this.#runtime.monotonicNow() : null
  }
}
