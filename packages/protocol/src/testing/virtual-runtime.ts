import type { Cancel, Runtime } from '../runtime.js'
import { seededRandom } from './seeded-random.js'
import { TimerQueue } from './timer-queue.js'

/** 2026-01-01T00:00:00Z in ms since the Unix epoch. */
const START_AT = 1_767_225_600_000

/** Microtask turns that `settle` lets pass: more than any chain of awaits of ours is long. */
const SETTLE_TURNS = 64

/** A world in which time passes only when a test says so. Same seed, same ids and chances. */
export interface VirtualRuntime extends Runtime {
  /** Lets `ms` pass: runs what falls due, in order, and the microtasks of each. */
  advance(ms: number): Promise<void>
  /** Lets pending microtasks run; no time passes. */
  settle(): Promise<void>
  /** The wall clock is set forwards or back; the monotonic one does not notice. */
  setWall(at: number): void
  /** The machine sleeps: the wall clock goes on, timers and the monotonic clock stand still. */
  sleep(ms: number): void
  /** Timers that wait: 0 where nothing was left behind. */
  readonly pendingTimers: number
}

/** Starts at 2026-01-01T00:00:00Z unless told otherwise. */
export function virtualRuntime(options: { seed?: number; startAt?: number } = {}): VirtualRuntime {
  const random = seededRandom(options.seed ?? 1)
  const timers = new TimerQueue()
  let monotonic = 0
  let wallOffset = options.startAt ?? START_AT
  let ids = 0

  const word = (): string =>
    Math.floor(random() * 2 ** 32)
      .toString(36)
      .padStart(7, '0')
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < SETTLE_TURNS; turn += 1) await Promise.resolve()
  }
  return {
    wallNow: () => wallOffset + monotonic,
    monotonicNow: () => monotonic,
    random,
    // As long as real ids are: shorter ones are no `instance` [W2].
    id: () => `id-${String((ids += 1)).padStart(6, '0')}-${word()}${word()}`,
    after(ms, run): Cancel {
      return timers.add(monotonic + Math.max(0, ms), run)
    },
    async advance(ms) {
      const until = monotonic + ms
      await settle()
      for (let timer = timers.take(until); timer !== null; timer = timers.take(until)) {
        monotonic = Math.max(monotonic, timer.dueAt)
        timer.run()
        await settle()
      }
      monotonic = until
      await settle()
    },
    settle,
    setWall: (at) => void (wallOffset = at - monotonic),
    sleep: (ms) => void (wallOffset += ms),
    get pendingTimers() {
      return timers.size
    },
  }
}
