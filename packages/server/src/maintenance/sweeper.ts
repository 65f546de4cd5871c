import type { Cancel, Runtime } from '@bmt-central/realtime-protocol'

/** Work that repeats until it is stopped; one that fails is reported and repeats all the same. */
export class Sweeper {
  readonly #runtime: Runtime
  readonly #failed: (error: unknown, what: string) => void
  readonly #cancels = new Map<string, Cancel>()

  constructor(runtime: Runtime, failed: (error: unknown, what: string) => void) {
    this.#runtime = runtime
    this.#failed = failed
  }

  every(intervalMs: number, what: string, run: () => void): void {
    const again = (): void => {
      this.#cancels.set(
        what,
        this.#runtime.after(intervalMs, () => {
          try {
            run()
          } catch (error) {
            this.#failed(error, what)
          }
          if (this.#cancels.has(what)) again()
        }),
      )
    }
    again()
  }

  stop(): void {
    for (const cancel of this.#cancels.values()) cancel()
    this.#cancels.clear()
  }
}
