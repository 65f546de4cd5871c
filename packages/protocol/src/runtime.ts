/** Stops what it was returned for. Calling it again does nothing. */
export type Cancel = () => void

/** Time, randomness and ids: the only way in which code of ours learns of them (style D16). */
export interface Runtime {
  /** ms since the Unix epoch; may jump when the clock is set. */
  wallNow(): number
  /** ms that never run backwards; may stand still while the machine sleeps. */
  monotonicNow(): number
  /** Runs once after `ms`; 0 means in a later turn of the event loop. Any length up to the year 9999. */
  after(ms: number, run: () => void): Cancel
  /** Evenly spread over [0, 1). */
  random(): number
  /** A fresh id of at least 128 random bits, of [A-Za-z0-9_-], at most 64 characters. */
  id(): string
}

/** An event name and its fields. Payloads and tokens are never among them. */
export type Log = (event: string, fields?: Readonly<Record<string, unknown>>) => void

/** Where both sides report to. Libraries never call `console`. */
export interface Logger {
  debug: Log
  info: Log
  warn: Log
  error: Log
}

/** A logger that drops everything: the default of both sides. */
export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
}

/**
 * A clock that counts sleep: the larger of what the wall clock and the monotonic clock have
 * advanced, since each of them misses something (the one is set, the other may stop).
 */
export interface Instant {
  readonly wallAt: number
  readonly monotonicAt: number
}

export function instantNow(runtime: Runtime): Instant {
  return { wallAt: runtime.wallNow(), monotonicAt: runtime.monotonicNow() }
}

/** ms since `instant`, time asleep included; never negative. */
export function elapsedSince(runtime: Runtime, instant: Instant): number {
  return Math.max(
    0,
    runtime.wallNow() - instant.wallAt,
    runtime.monotonicNow() - instant.monotonicAt,
  )
}
