import type { Cancel, Runtime } from '@bmt-central/realtime-protocol'

/** The longest time that a timer of the platform can be set to. */
const MAX_TIMER_MS = 2 ** 31 - 1
const ID_BYTES = 16

/** The platform's clocks, timers and randomness. */
export const systemRuntime: Runtime = {
  wallNow: () => Date.now(),
  monotonicNow: () => performance.now(),
  after,
  random: () => Math.random(),
  // Not `randomUUID`: pages on plain HTTP have none.
  id: () =>
    Array.from(crypto.getRandomValues(new Uint8Array(ID_BYTES)), (byte) =>
      byte.toString(16).padStart(2, '0'),
    ).join(''),
}

function after(ms: number, run: () => void): Cancel {
  const restMs = ms - MAX_TIMER_MS
  let cancel: Cancel = () => clearTimeout(timer)
  const timer = setTimeout(
    restMs > 0 ? () => (cancel = after(restMs, run)) : run,
    Math.min(ms, MAX_TIMER_MS),
  )
  return () => cancel()
}
