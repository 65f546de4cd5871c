import { randomFillSync } from 'node:crypto'
import type { Cancel, Runtime } from '@bmt-central/realtime-protocol'

/** The longest delay of `setTimeout`; a longer one would fire at once. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1
/** 128 bits: 22 characters of base64url. */
const ID_BYTES = 16
/** Random bytes that are fetched at once: fetching is what costs. */
const POOL_BYTES = 256 * ID_BYTES

/**
 * The real clocks, timers and chances of this process.
 *
 * Timers never keep the process alive: what waits for time only (sweeps, expiry, deadlines) must not
 * hold back an application that has closed its servers and sockets. `after(0, …)` is the exception:
 * it runs in the next turn of the event loop, and that turn takes place.
 */
export function systemRuntime(): Runtime {
  return {
    wallNow: () => Date.now(),
    monotonicNow: () => performance.now(),
    random: () => Math.random(),
    id: idSource(),
    after: (ms, run) => (ms <= 0 ? nextTurn(run) : timer(ms, run)),
  }
}

function idSource(): () => string {
  const pool = Buffer.alloc(POOL_BYTES)
  let next = POOL_BYTES
  return () => {
    if (next === POOL_BYTES) {
      randomFillSync(pool)
      next = 0
    }
    const id = pool.toString('base64url', next, next + ID_BYTES)
    next += ID_BYTES
    return id
  }
}

function nextTurn(run: () => void): Cancel {
  const immediate = setImmediate(run)
  return () => clearImmediate(immediate)
}

/** Runs once `ms` have passed, in as many steps as `setTimeout` needs for it, and never early. */
function timer(ms: number, run: () => void): Cancel {
  const dueAt = performance.now() + ms
  let timeout: NodeJS.Timeout
  const wait = (leftMs: number): void => {
    timeout = setTimeout(check, Math.min(Math.ceil(leftMs), MAX_TIMEOUT_MS))
    timeout.unref()
  }
  const check = (): void => {
    const leftMs = dueAt - performance.now()
    if (leftMs > 0) wait(leftMs)
    else run()
  }
  wait(ms)
  return () => clearTimeout(timeout)
}
