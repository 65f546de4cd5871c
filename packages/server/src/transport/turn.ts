import type { Cancel } from '@bmt-central/realtime-protocol'

/** So long one turn of the event loop is flushed; then others are served, and the rest follows. */
const SLICE_MS = 8
/** Flushes between two looks at the clock: some 10 µs each. */
const FLUSHES_PER_LOOK = 32

/** Something that has something to write at the end of a turn. */
export interface Flushable {
  flush(): void
}

/**
 * The end of a turn of the event loop: what arose in it leaves then, joined, once for each connection.
 * A flush of thousands of connections takes several turns, in order [P7].
 */
export class Turn {
  readonly #dirty = new Set<Flushable>()
  readonly #nextTurn: (run: () => void) => Cancel
  readonly #now: () => number
  readonly #failed: (error: unknown) => void
  #prepare: (() => void) | null = null
  #scheduled = false

  constructor(parts: {
    /** Runs a function after the events of this turn (`runtime.after(0, …)`). */
    readonly nextTurn: (run: () => void) => Cancel
    /** ms of a monotonic clock. */
    readonly now: () => number
    readonly failed: (error: unknown) => void
  }) {
    this.#nextTurn = parts.nextTurn
    this.#now = parts.now
    this.#failed = parts.failed
  }

  /** Connections that wait to be flushed. */
  get size(): number {
    return this.#dirty.size
  }

  /** Runs once at the end of this turn, before anything is flushed. */
  before(prepare: () => void): void {
    this.#prepare = prepare
    this.#schedule()
  }

  add(flushable: Flushable): void {
    this.#dirty.add(flushable)
    this.#schedule()
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    this.#nextTurn(() => {
      this.#scheduled = false
      this.#run()
    })
  }

  #run(): void {
    const prepare = this.#prepare
    this.#prepare = null
    if (prepare !== null) this.#flush({ flush: prepare })
    const endsAt = this.#now() + SLICE_MS
    let flushed = 0
    for (const next of this.#dirty) {
      if (flushed % FLUSHES_PER_LOOK === 0 && flushed > 0 && this.#now() >= endsAt) {
        this.#schedule()
        return
      }
      this.#dirty.delete(next)
      flushed += 1
      this.#flush(next)
    }
  }

  /** What throws costs the others nothing [P7]. */
  #flush(one: Flushable): void {
    try {
      one.flush()
    } catch (error) {
      this.#failed(error)
    }
  }
}
