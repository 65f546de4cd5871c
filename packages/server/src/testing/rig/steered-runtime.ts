import type { Cancel, Runtime } from '@bmt-central/realtime-protocol'
import { virtualRuntime, type VirtualRuntime } from '@bmt-central/realtime-protocol/testing'

/**
 * Clocks that stand still until a test moves them, for servers that talk over real sockets: what is
 * due at once runs in the next turn of the real event loop, everything else waits for `advance`.
 */
export class SteeredRuntime implements Runtime {
  readonly #virtual: VirtualRuntime

  constructor(seed?: number) {
    this.#virtual = virtualRuntime(seed === undefined ? {} : { seed })
  }

  wallNow(): number {
    return this.#virtual.wallNow()
  }

  monotonicNow(): number {
    return this.#virtual.monotonicNow()
  }

  random(): number {
    return this.#virtual.random()
  }

  id(): string {
    return this.#virtual.id()
  }

  after(ms: number, run: () => void): Cancel {
    if (ms > 0) return this.#virtual.after(ms, run)
    const immediate = setImmediate(run)
    return () => clearImmediate(immediate)
  }

  advance(ms: number): Promise<void> {
    return this.#virtual.advance(ms)
  }

  /** The wall clock is set forwards or back; the monotonic one does not notice. */
  setWall(at: number): void {
    this.#virtual.setWall(at)
  }

  /** Timers that wait: 0 where nothing was left behind. */
  get pendingTimers(): number {
    return this.#virtual.pendingTimers
  }
}
