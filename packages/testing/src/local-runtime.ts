import type { Cancel, Runtime } from '@bmt-central/realtime-protocol'

/** One machine's view of the common clock: it can sleep, be set forwards, and die. */
export class LocalRuntime implements Runtime {
  readonly #world: Runtime
  readonly #timers = new Set<Cancel>()
  /** What fell due while it slept. */
  readonly #overdue = new Set<() => void>()
  #asleep = false
  #dead = false
  #wallOffsetMs = 0

  constructor(world: Runtime) {
    this.#world = world
  }

  get asleep(): boolean {
    return this.#asleep
  }

  wallNow(): number {
    return this.#world.wallNow() + this.#wallOffsetMs
  }

  monotonicNow(): number {
    return this.#world.monotonicNow()
  }

  random(): number {
    return this.#world.random()
  }

  id(): string {
    return this.#world.id()
  }

  after(ms: number, run: () => void): Cancel {
    if (this.#dead) return () => undefined
    const due = (): void => {
      this.#timers.delete(cancel)
      if (this.#asleep) this.#overdue.add(once)
      else run()
    }
    // Every timer has a function of its own in the set, also where two run the same one.
    const once = (): void => run()
    const stop = this.#world.after(ms, due)
    const cancel = (): void => {
      stop()
      this.#timers.delete(cancel)
      this.#overdue.delete(once)
    }
    this.#timers.add(cancel)
    return cancel
  }

  /** Timers stop; `wake` lets all fire that fell due meanwhile. */
  sleep(): void {
    this.#asleep = true
  }

  wake(): void {
    if (!this.#asleep) return
    this.#asleep = false
    // One may cancel another that was due, too: then it is not met any more.
    for (const run of this.#overdue) {
      this.#overdue.delete(run)
      run()
    }
  }

  /** The wall clock is set forwards. */
  jump(ms: number): void {
    this.#wallOffsetMs += ms
  }

  /** The process is gone: nothing of it ever runs again. */
  die(): void {
    this.#dead = true
    for (const cancel of Array.from(this.#timers)) cancel()
    this.#overdue.clear()
  }
}
