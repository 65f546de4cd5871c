import {
  elapsedSince,
  instantNow,
  type Cancel,
  type Instant,
  type Runtime,
} from '@bmt-central/realtime-protocol'

export interface HeartbeatParts {
  readonly runtime: Runtime
  /** Sends one, and calls back when it is answered. */
  readonly send: (answered: () => void) => void
  /** Nothing came back: the link is dead. */
  readonly dead: () => void
}

const SILENCE_MS = 10_000
const CHECK_MS = 5_000
/** A timer later than this means that the machine slept, or that the page was frozen. */
const LATE_MS = 5_000
const SHORTEST_INTERVAL_MS = 1_000
const MOMENT_MS = 1_000

/** Finds out whether a link still carries anything [C4][C5]. Knows no topics. */
export class Heartbeat {
  readonly #parts: HeartbeatParts
  #intervalMs = 0
  #cancelNext: Cancel = () => undefined
  #cancelLimit: Cancel = () => undefined
  /** When the running check gives up, monotonic; Infinity: none is running. */
  #limitAt = Infinity
  /** When anything was heard last, monotonic. */
  #heardAt = 0
  /** ms there and back of the last one, null before the first. */
  latencyMs: number | null = null

  constructor(parts: HeartbeatParts) {
    this.#parts = parts
  }

  start(intervalMs: number): void {
    this.stop()
    this.#intervalMs = Math.max(intervalMs, SHORTEST_INTERVAL_MS)
    this.#next()
  }

  stop(): void {
    this.#intervalMs = 0
    this.#cancelNext()
    this.packet()
  }

  /** Something arrived: the link lives. */
  packet(): void {
    this.#heardAt = this.#parts.runtime.monotonicNow()
    this.#cancelLimit()
    this.#limitAt = Infinity
  }

  /** Asks now, with the shorter limit. */
  check(): void {
    if (this.#intervalMs > 0) this.#ask(CHECK_MS)
  }

  /** An answer is overdue: asks, unless the link was heard a moment ago. */
  suspect(): void {
    if (this.#parts.runtime.monotonicNow() - this.#heardAt >= MOMENT_MS) this.check()
  }

  #next(): void {
    const setAt = instantNow(this.#parts.runtime)
    this.#cancelNext = this.#parts.runtime.after(this.#intervalMs, () => {
      this.#ask(this.#isLate(setAt, this.#intervalMs) ? CHECK_MS : SILENCE_MS)
      if (this.#intervalMs > 0) this.#next()
    })
  }

  #ask(limitMs: number): void {
    const { runtime, send, dead } = this.#parts
    const setAt = instantNow(runtime)
    // A question that is open already will be decided at least as early.
    if (setAt.monotonicAt + limitMs >= this.#limitAt) return
    this.#cancelLimit()
    this.#limitAt = setAt.monotonicAt + limitMs
    this.#cancelLimit = runtime.after(limitMs, () => {
      this.#limitAt = Infinity
      // What arrived during the sleep has not been read yet: it deserves another look.
      if (this.#isLate(setAt, limitMs)) this.check()
      else dead()
    })
    send(() => {
      this.latencyMs = runtime.monotonicNow() - setAt.monotonicAt
    })
  }

  #isLate(setAt: Instant, ms: number): boolean {
    return elapsedSince(this.#parts.runtime, setAt) - ms > LATE_MS
  }
}
