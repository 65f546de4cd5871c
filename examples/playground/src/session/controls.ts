import type { AppState } from '../state.js'
import { isRecord } from '../storage.js'
import type { Store } from '../store.js'
import type { Line } from './line.js'

/** How long the line stays cut unless somebody mends it. */
export const CUT_MS = 10_000

export interface ControlsParts {
  readonly store: Store<AppState>
  readonly line: Line
  readonly now: () => number
  /** Tries to connect at once. */
  readonly connectNow: () => void
}

/** The switches of the page that break things on purpose. */
export class Controls {
  readonly #parts: ControlsParts
  #timer: number | undefined

  constructor(parts: ControlsParts) {
    this.#parts = parts
  }

  cutLine(): void {
    const { store, line, now } = this.#parts
    line.cut()
    store.update((state) => ({ ...state, cutUntil: now() + CUT_MS }))
    window.clearTimeout(this.#timer)
    // Nobody tells the client: that it comes back by itself is the point.
    this.#timer = window.setTimeout(() => this.#mend(), CUT_MS)
  }

  mendLine(): void {
    this.#mend()
    this.#parts.connectNow()
  }

  #mend(): void {
    window.clearTimeout(this.#timer)
    this.#parts.line.mend()
    this.#parts.store.update((state) => ({ ...state, cutUntil: null }))
  }

  /** Whether there is somebody who would start the server again, and what that would find. */
  async askWhetherServerCanBeKilled(): Promise<void> {
    const answer: unknown = await fetch('/playground/status', { cache: 'no-store' })
      .then((response) => (response.ok ? response.json() : null))
      .catch(() => null)
    const status = isRecord(answer) ? answer : {}
    const [canKill, durable] = [status['canKill'] === true, status['durable'] === true]
    this.#parts.store.update((state) => ({ ...state, canKill, durable }))
  }

  async killServer(): Promise<void> {
    this.#setKill('asked', '')
    try {
      const response = await fetch('/playground/kill', {
        method: 'POST',
        headers: { 'X-Playground': 'kill-the-server' },
      })
      if (!response.ok) this.#setKill('failed', String(response.status))
    } catch (error) {
      this.#setKill('failed', error instanceof Error ? error.message : String(error))
    }
  }

  /** The server is there again, or was never gone. */
  serverIsBack(): void {
    if (this.#parts.store.get().kill.state === 'asked') this.#setKill('idle', '')
  }

  #setKill(kill: AppState['kill']['state'], reason: string): void {
    this.#parts.store.update((state) => ({ ...state, kill: { state: kill, reason } }))
  }
}
