import type { Cancel, Runtime } from '@bmt-central/realtime-protocol'

/**
 * What a machine's clock and timers do while it sleeps: `late`, the clock goes on, and what falls
 * due fires at the awakening; `frozen`, both stand still, and only the wall clock has gone on.
 */
export type SleepKind = 'late' | 'frozen'

interface Timer {
  readonly run: () => void
  /** By the world's clock; while it is frozen, ms that are left. */
  due: number
  stop: Cancel | null
}

/** One machine's view of the common clock: it can sleep, be set forwards, and die. */
export class LocalRuntime implements Runtime {
  readonly #world: Runtime
  readonly #kind: SleepKind
  readonly #timers = new Set<Timer>()
  /** What fell due while it slept. */
  readonly #overdue = new Set<Timer>()
  #asleepSince: number | null = null
  #frozenMs = 0
  #dead = false
  #wallOffsetMs = 0

  constructor(world: Runtime, kind: SleepKind = 'late') {
    this.#world = world
    this.#kind = kind
  }

  get asleep(): boolean {
    return this.#asleepSince !== null
  }

  wallNow(): number {
    return this.#world.wallNow() + this.#wallOffsetMs
  }

  monotonicNow(): number {
    const now = this.#world.monotonicNow()
    const frozen = this.#kind === 'frozen' ? (this.#asleepSince ?? now) : now
    return frozen - this.#frozenMs
  }

  random(): number {
    return this.#world.random()
  }

  id(): string {
    return this.#world.id()
  }

  after(ms: number, run: () => void): Cancel {
    if (this.#dead) return () => undefined
    const timer: Timer = { run, due: Math.max(0, ms), stop: null }
    this.#timers.add(timer)
    if (!this.#isFrozen) this.#arm(timer, ms)
    return () => {
      timer.stop?.()
      this.#timers.delete(timer)
      this.#overdue.delete(timer)
    }
  }

  /** Timers stop; `wake` lets those fire that fell due meanwhile, or go on. */
  sleep(): void {
    if (this.asleep) return
    this.#asleepSince = this.#world.monotonicNow()
    if (!this.#isFrozen) return
    for (const timer of this.#timers) {
      timer.stop?.()
      timer.due -= this.#asleepSince
    }
  }

  wake(): void {
    if (this.#asleepSince === null) return
    const wasFrozen = this.#isFrozen
    if (wasFrozen) this.#frozenMs += this.#world.monotonicNow() - this.#asleepSince
    this.#asleepSince = null
    if (wasFrozen) for (const timer of this.#timers) this.#arm(timer, timer.due)
    // One may cancel another that was due, too: then it is not met any more.
    for (const timer of this.#overdue) {
      this.#overdue.delete(timer)
      timer.run()
    }
  }

  /** The wall clock is set forwards. */
  jump(ms: number): void {
    this.#wallOffsetMs += ms
  }

  /** The process is gone: nothing of it ever runs again. */
  die(): void {
    this.#dead = true
    for (const { stop } of this.#timers) stop?.()
    this.#timers.clear()
    this.#overdue.clear()
  }

  get #isFrozen(): boolean {
    return this.asleep && this.#kind === 'frozen'
  }

  #arm(timer: Timer, ms: number): void {
    timer.due = this.#world.monotonicNow() + Math.max(0, ms)
    timer.stop = this.#world.after(ms, () => {
      this.#timers.delete(timer)
      if (this.asleep) this.#overdue.add(timer)
      else timer.run()
    })
  }
}
