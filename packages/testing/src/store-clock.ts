import type { Cancel, Runtime } from '@bmt-central/realtime-protocol'

interface Timer {
  readonly dueAt: number
  readonly run: () => void
  stop: Cancel
}

/** The clock of what lies on a disk: time passes, but nothing runs while no process has it open. */
export class StoreClock implements Runtime {
  readonly #world: Runtime
  readonly #timers = new Set<Timer>()
  #going = false

  constructor(world: Runtime) {
    this.#world = world
  }

  wallNow(): number {
    return this.#world.wallNow()
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
    const timer: Timer = { dueAt: this.monotonicNow() + ms, run, stop: () => undefined }
    this.#timers.add(timer)
    if (this.#going) this.#arm(timer)
    return () => {
      timer.stop()
      this.#timers.delete(timer)
    }
  }

  /** What fell due meanwhile runs soon. */
  go(): void {
    if (this.#going) return
    this.#going = true
    for (const timer of this.#timers) this.#arm(timer)
  }

  stop(): void {
    this.#going = false
    for (const { stop } of this.#timers) stop()
  }

  #arm(timer: Timer): void {
    timer.stop = this.#world.after(timer.dueAt - this.monotonicNow(), () => {
      this.#timers.delete(timer)
      timer.run()
    })
  }
}
