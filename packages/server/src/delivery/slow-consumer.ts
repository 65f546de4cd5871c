import { tooSlow, type Connection } from '../hub/connection.js'

/** How long a reader that is far behind has to take `ENOUGH_BYTES` [L8]. */
const PATIENCE_MS = 5_000
const ENOUGH_BYTES = 64 * 1_024

/** Since when a reader has been far behind, and how much it had taken then. */
interface Suspicion {
  sinceMs: number
  takenBytes: number
}

/**
 * Ends connections whose reader does not keep up [L8]: more than `maxBufferedBytes` waiting and under
 * 64 KiB taken within 5 s. Where only what a newer message may replace waits, slowness is no fault.
 */
export class SlowConsumers {
  readonly #suspects = new Map<Connection, Suspicion>()
  readonly #maxBufferedBytes: number

  constructor(maxBufferedBytes: number) {
    this.#maxBufferedBytes = maxBufferedBytes
  }

  get size(): number {
    return this.#suspects.size
  }

  /** Looks at every connection; called once a second with the monotonic clock. */
  sweep(connections: Iterable<Connection>, nowMs: number): void {
    for (const connection of connections) {
      const { outlet } = connection
      if (outlet.waitingBytes <= this.#maxBufferedBytes || outlet.onlyReplaceable) {
        this.#suspects.delete(connection)
        continue
      }
      const suspicion = this.#suspects.get(connection)
      if (suspicion === undefined || outlet.takenBytes - suspicion.takenBytes >= ENOUGH_BYTES) {
        this.#suspects.set(connection, { sinceMs: nowMs, takenBytes: outlet.takenBytes })
      } else if (nowMs - suspicion.sinceMs >= PATIENCE_MS) {
        this.#suspects.delete(connection)
        connection.end(tooSlow(this.#maxBufferedBytes))
      }
    }
  }

  forget(connection: Connection): void {
    this.#suspects.delete(connection)
  }
}
