import type { HeldStore, OutboxChanges, OutboxStore } from '../publishing/outbox-store.js'

/** What goes wrong with a write: it rejects, or never comes to an end. */
export type WriteFault = 'rejects' | 'hangs'

/** A store in memory that keeps to the port: one holder at a time, clones, writes that take a while. */
export class MemoryStore implements OutboxStore {
  readonly values = new Map<number, unknown>()
  /** All writes that were asked for, also those that failed. */
  readonly writes: OutboxChanges[] = []
  /** What a write comes to; it is asked for each. */
  fault: (changes: OutboxChanges) => WriteFault | null = () => null
  /** Writes wait until it is released. */
  #gate: Promise<void> = Promise.resolve()
  #holder: object | null = null
  readonly #waiting: (() => void)[] = []

  get isHeld(): boolean {
    return this.#holder !== null
  }

  async open(signal: AbortSignal): Promise<HeldStore> {
    const holder = {}
    while (this.#holder !== null) {
      await new Promise<void>((resolve, reject) => {
        this.#waiting.push(resolve)
        signal.addEventListener('abort', () => reject(new Error('not wanted any more')))
      })
    }
    signal.throwIfAborted()
    this.#holder = holder
    return {
      records: [...this.values]
        .map(([key, value]) => ({ key, value: structuredClone(value) }))
        .sort((a, b) => a.key - b.key),
      write: (changes) => this.#write(holder, structuredClone(changes)),
      close: () => this.#free(holder),
    }
  }

  /** The page that holds it dies: whatever its client still does reaches nothing. */
  crash(): void {
    this.#free(this.#holder)
  }

  /** Writes wait from here on; the function returned lets them go on. */
  pause(): () => void {
    const gate: { open: () => void } = { open: () => undefined }
    this.#gate = new Promise((resolve) => (gate.open = resolve))
    return () => gate.open()
  }

  /** The ids that are stored, in order, and whether they are marked as sent. */
  get stored(): [id: string, sent: boolean][] {
    return [...this.values]
      .sort(([a], [b]) => a - b)
      .map(([, value]) => {
        const { id, sent } = value as { id: string; sent?: object }
        return [id, sent !== undefined]
      })
  }

  async #write(holder: object, changes: OutboxChanges): Promise<void> {
    if (holder !== this.#holder) return
    this.writes.push(changes)
    const fault = this.fault(changes)
    if (fault === 'hangs') return new Promise(() => undefined)
    await this.#gate
    if (fault === 'rejects') throw new DOMException('no room', 'QuotaExceededError')
    if (holder !== this.#holder) return
    for (const key of changes.remove) this.values.delete(key)
    for (const { key, value } of changes.put) this.values.set(key, value)
  }

  #free(holder: object | null): void {
    if (holder === null || holder !== this.#holder) return
    this.#holder = null
    for (const next of this.#waiting.splice(0)) next()
  }
}
