import {
  RealtimeError,
  type Cancel,
  type ClientStats,
  type Logger,
  type Runtime,
} from '@bmt-central/realtime-protocol'
import type { Entry } from './entry.js'
import type { HeldStore, OutboxRecord, OutboxStore } from './outbox-store.js'
import { readStored, storedPublish, type Mark, type Restored } from './stored-publish.js'

export interface KeeperParts {
  readonly runtime: Runtime
  readonly logger: Logger
  /** null: everything is in memory only. */
  readonly store: OutboxStore | null
  /** Whether it may wait for another link at all. */
  readonly keeps: (entry: Entry) => boolean
  /** What an earlier life has left, in order: `adopt` each before anything becomes of it. */
  readonly restore: (restored: readonly Restored[]) => void
  /** A record that nobody can read any more, and what is known of it. */
  readonly unreadable: (record: unknown, error: RealtimeError) => void
}

/** What of an entry is in the store. */
interface Place {
  readonly key: number
  /** A record of it is in the store, or on its way there. */
  written: boolean
  /** The record in the store says that it was sent. */
  marked: boolean
  /** What the next record says of its first sending, where the entry itself has none. */
  mark: Mark | null
  /** Called once the record is in the store, or cannot be. */
  readonly done: (() => void)[]
}

/** A store that takes longer for one step than this is of no use. */
const LIMIT_MS = 5_000

/**
 * Keeps a copy of the outbox in a store, so that a reload finds it again. One write after the other;
 * what changes meanwhile goes into the next one, and what settles quickly is never written. Where the
 * store fails, nothing waits for it: the outbox in memory is the one that counts.
 */
export class Keeper {
  readonly #parts: KeeperParts
  readonly #giveUp = new AbortController()
  readonly #places = new Map<Entry, Place>()
  readonly #changed = new Set<Entry>()
  /** Keys whose records have to go, and whom to tell. */
  readonly #removed = new Map<number, () => void>()
  #state: ClientStats['outboxStore']
  #opening: Promise<void> = Promise.resolve()
  #held: HeldStore | null = null
  #nextKey = 0
  #writing: Promise<void> | null = null
  #cancel: Cancel | null = null
  #complained = false

  constructor(parts: KeeperParts) {
    this.#parts = parts
    this.#state = parts.store === null ? 'none' : 'waiting'
  }

  get state(): ClientStats['outboxStore'] {
    return this.#state
  }

  /** Changes that are not in the store yet. */
  get pending(): number {
    return this.#changed.size + this.#removed.size
  }

  /** From now on it waits for its turn to hold the store. */
  open(): void {
    const { store } = this.#parts
    if (store !== null) this.#opening = this.#open(store)
  }

  /** An entry that was made of the record with this key. */
  adopt(entry: Entry, key: number): void {
    const marked = entry.firstSentAt !== null
    this.#places.set(entry, { key, written: true, marked, mark: null, done: [] })
  }

  /** Writes it down as it is; `done` is called once that is on the disk, or will never be. */
  keep(entry: Entry, done?: () => void): void {
    if (this.#held === null || entry.owner === null || !this.#parts.keeps(entry)) {
      return done?.()
    }
    const place = this.#places.get(entry) ?? {
      key: this.#nextKey++,
      written: false,
      marked: false,
      mark: null,
      done: [],
    }
    this.#places.set(entry, place)
    if (done !== undefined) place.done.push(done)
    this.#changed.add(entry)
    this.#schedule()
  }

  /**
   * Whether the disk says that it was never sent: after a crash it would be sent at any age [P4], so
   * it may not go before that has been put right.
   */
  mustMark(entry: Entry): boolean {
    const place = this.#places.get(entry)
    return place !== undefined && place.written && !place.marked
  }

  /** Notes of the first ones of these that they are about to be sent; `done` once they may be. */
  mark(
    entries: Iterable<Entry>,
    { limit, window }: { limit: number; window: string },
    done: () => void,
  ): void {
    const mark = { at: this.#parts.runtime.wallNow(), window }
    let count = 0
    for (const entry of entries) {
      const place = this.#places.get(entry)
      if (place === undefined || !this.mustMark(entry)) continue
      if (count++ === limit) break
      // Under way already: then `done` is, too.
      if (place.mark?.window === window) continue
      place.mark = mark
      this.keep(entry, done)
    }
  }

  /** It has settled: its record goes. `gone` is called once nothing of it can come back [P5]. */
  remove(entry: Entry, gone?: () => void): void {
    const place = this.#places.get(entry)
    this.#places.delete(entry)
    this.#changed.delete(entry)
    if (place === undefined || !place.written) return gone?.()
    this.#removed.set(place.key, gone ?? nothing)
    this.#schedule()
  }

  /** Writes what is left to be written, then lets go. Called after everything has settled. */
  async close(): Promise<void> {
    this.#giveUp.abort()
    // It may be ours at this moment: then what it holds is settled like all the rest.
    if (this.#state === 'waiting') await this.#limited(this.#opening).catch(() => undefined)
    this.#cancel?.()
    this.#cancel = null
    await (this.#writing ?? this.#write())
    this.#letGo('none')
  }

  async #open(store: OutboxStore): Promise<void> {
    try {
      const held = await store.open(this.#giveUp.signal)
      // Closed, and too late for everything.
      if (this.#state !== 'waiting') return held.close()
      this.#held = held
      this.#state = 'held'
      this.#restore(held.records)
    } catch (error) {
      if (this.#held === null && this.#giveUp.signal.aborted) return
      this.#complain(error)
      this.#letGo('failed')
    }
  }

  #restore(records: readonly OutboxRecord[]): void {
    const restored: Restored[] = []
    for (const record of records) {
      const { key, value } = record
      this.#nextKey = Math.max(this.#nextKey, key + 1)
      try {
        restored.push(readStored(this.#parts.runtime, record))
      } catch (cause) {
        this.#removed.set(key, nothing)
        this.#parts.logger.warn('stored publish dropped: it cannot be read', { key, cause })
        const message = 'a stored publish cannot be read'
        const details = { outcome: 'unknown' }
        const error = new RealtimeError('invalid_message', message, { cause, details })
        this.#parts.unreadable(value, error)
      }
    }
    this.#parts.restore(restored)
    if (this.pending > 0) this.#schedule()
  }

  #schedule(): void {
    if (this.#held === null || this.#writing !== null || this.#cancel !== null) return
    // In a later turn: what is sent in this one is written down as sent, once.
    this.#cancel = this.#parts.runtime.after(0, () => {
      this.#cancel = null
      void this.#write()
    })
  }

  #write(): Promise<void> {
    this.#writing = this.#writeAll().finally(() => {
      this.#writing = null
    })
    return this.#writing
  }

  async #writeAll(): Promise<void> {
    while (this.#held !== null && this.pending > 0) await this.#writeOnce(this.#held)
  }

  async #writeOnce(held: HeldStore): Promise<void> {
    const writes = [...this.#changed].map((entry) => this.#begin(entry))
    const removed = [...this.#removed]
    this.#changed.clear()
    this.#removed.clear()
    const remove = removed.map(([key]) => key)
    try {
      await this.#limited(held.write({ put: writes.map(({ record }) => record), remove }))
      for (const { place, sent } of writes) place.marked = sent
    } catch (error) {
      await this.#refused(held, error, { writes, remove })
    }
    for (const { done } of writes) {
      for (const tell of done) tell()
    }
    for (const [, gone] of removed) gone()
  }

  #begin(entry: Entry): Write {
    const place = this.#places.get(entry) as Place
    const { firstSentAt, window } = entry
    const sent =
      firstSentAt === null || window === null ? place.mark : { at: firstSentAt.wallAt, window }
    const wasWritten = place.written
    place.written = true
    if (firstSentAt !== null) place.mark = null
    if (sent === null) place.marked = false
    return {
      place,
      record: { key: place.key, value: storedPublish(entry, sent) },
      sent: sent !== null,
      wasWritten,
      done: place.done.splice(0),
    }
  }

  /** Nothing may be found later that is not so any more: what could not be changed has to go. */
  async #refused(
    held: HeldStore,
    error: unknown,
    { writes, remove }: { writes: readonly Write[]; remove: readonly number[] },
  ): Promise<void> {
    this.#complain(error)
    if (error instanceof TookTooLong) return this.#letGo('failed')
    const stale = writes.filter(({ wasWritten }) => wasWritten).map(({ place }) => place.key)
    try {
      await this.#limited(held.write({ put: [], remove: [...remove, ...stale] }))
      for (const { place } of writes) place.written = false
    } catch {
      this.#letGo('failed')
    }
  }

  #letGo(state: 'none' | 'failed'): void {
    const held = this.#held
    const waiting = [
      ...[...this.#places.values()].flatMap(({ done }) => done),
      ...this.#removed.values(),
    ]
    this.#held = null
    this.#state = state
    this.#places.clear()
    this.#changed.clear()
    this.#removed.clear()
    try {
      held?.close()
    } catch (error) {
      this.#complain(error)
    }
    for (const tell of waiting) tell()
  }

  /** Once: what follows has the same reason. */
  #complain(error: unknown): void {
    if (this.#complained) return
    this.#complained = true
    const what = 'the outbox store failed: publishes wait in memory only'
    this.#parts.logger.warn(what, { error })
  }

  async #limited(work: Promise<void>): Promise<void> {
    let cancel: Cancel = nothing
    const late = new Promise<never>((_, reject) => {
      cancel = this.#parts.runtime.after(LIMIT_MS, () => reject(new TookTooLong()))
    })
    try {
      await Promise.race([work, late])
    } finally {
      cancel()
    }
  }
}

interface Write {
  readonly place: Place
  readonly record: OutboxRecord
  readonly sent: boolean
  readonly wasWritten: boolean
  readonly done: readonly (() => void)[]
}

class TookTooLong extends Error {
  override readonly name = 'TookTooLong'

  constructor() {
    super(`the store took longer than ${LIMIT_MS} ms`)
  }
}

function nothing(): void {
  // What nobody waits for.
}
