import type { Cancel, Runtime } from '@bmt-central/realtime-protocol'

/** One timer for many reasons: it rings at the earliest time that was asked for, then is silent. */
export class Alarm {
  readonly #runtime: Runtime
  readonly #ring: () => void
  #at = Infinity
  #cancel: Cancel = () => undefined

  constructor(runtime: Runtime, ring: () => void) {
    this.#runtime = runtime
    this.#ring = ring
  }

  /** Rings after `ms` at the latest; Infinity asks for nothing. */
  within(ms: number): void {
    const at = this.#runtime.monotonicNow() + ms
    if (!(at < this.#at)) return
    this.clear()
    this.#at = at
    // Timers count whole ms, and may round down.
    this.#cancel = this.#runtime.after(Math.max(1, Math.ceil(ms)), () => {
      this.#at = Infinity
      this.#ring()
    })
  }

  clear(): void {
    this.#cancel()
    this.#at = Infinity
  }
}
