import type { Runtime } from '@bmt-central/realtime-protocol'
import { virtualRuntime } from '@bmt-central/realtime-protocol/testing'

/** A server's clock that a test moves. */
export interface SteppedClock {
  readonly runtime: Runtime
  /** ms since the Unix epoch. */
  readonly now: () => number
  /** Lets time pass: what falls due happens. */
  readonly advance: (ms: number) => Promise<void>
}

/** Time stands still, but what waits for the next turn of the event loop only has it. */
export function steppedClock(): SteppedClock {
  const time = virtualRuntime()
  return {
    runtime: {
      wallNow: () => time.wallNow(),
      monotonicNow: () => time.monotonicNow(),
      random: () => time.random(),
      id: () => time.id(),
      after: (ms, run) => {
        if (ms > 0) return time.after(ms, run)
        const immediate = setImmediate(run)
        return () => clearImmediate(immediate)
      },
    },
    now: () => time.wallNow(),
    advance: (ms) => time.advance(ms),
  }
}
