import {
  elapsedSince,
  RealtimeError,
  type PublishAck,
  type Runtime,
  type Topic,
} from '@bmt-central/realtime-protocol'
import { Alarm } from '../alarm.js'
import { localError, type Draft, type Entry } from './entry.js'
import type { Keeper } from './keeper.js'
import { Lane } from './lane.js'
import { Stopwatch } from './stopwatch.js'
import type { Restored } from './stored-publish.js'

/** What `onOutbox` tells of a publish; `queued` again where it has to be sent once more. */
export interface OutboxEvent {
  readonly id: string
  readonly topic: string
  readonly state: 'queued' | 'sent' | 'acknowledged' | 'failed'
  readonly error?: RealtimeError
  readonly ack?: PublishAck
}

export interface OutboxLimits {
  readonly maxQueueSize: number
  readonly maxQueueBytes: number
  readonly publishDeadlineMs: number
  readonly maxOfflineMs: number
}

export interface OutboxParts {
  readonly runtime: Runtime
  readonly limits: OutboxLimits
  readonly tell: (event: OutboxEvent) => void
  readonly keeper: Keeper
}

const WATCH_MS = 30_000

/**
 * Everything that was published and is not settled yet, in call order and bounded [L13]. Settling
 * one and taking it out are one step, done once [P5]; time settles what it has outlived [L14].
 */
export class Outbox {
  readonly #parts: OutboxParts
  readonly #entries = new Set<Entry>()
  readonly #lanes = new Map<Topic, Lane<Entry>>()
  readonly #online: Stopwatch
  readonly #alarm: Alarm
  #bytes = 0
  acknowledged = 0
  failed = 0

  constructor(parts: OutboxParts) {
    this.#parts = parts
    this.#online = new Stopwatch(parts.runtime)
    this.#alarm = new Alarm(parts.runtime, () => this.expire())
  }

  /** In call order. */
  get entries(): Iterable<Entry> {
    return this.#entries
  }

  get size(): number {
    return this.#entries.size
  }

  get bytes(): number {
    return this.#bytes
  }

  has(entry: Entry): boolean {
    return this.#entries.has(entry)
  }

  /**
   * Where it is kept over a reload and has to wait for a connection, it is told as `queued` once it
   * is on the disk.
   * @throws RealtimeError `queue_overflow`
   */
  add(draft: Draft, owner: string | null): Promise<PublishAck> {
    this.#makeRoom(draft)
    return new Promise((resolve, reject) => {
      const { signal } = draft.options
      const abort = (): void => {
        const cause: unknown = signal?.reason
        this.settle(entry, localError(entry, 'aborted', { message: 'aborted', cause }))
      }
      const release = (): void => signal?.removeEventListener('abort', abort)
      const entry = this.#entry(draft, { owner, resolve, reject, release })
      signal?.addEventListener('abort', abort)
      this.#entries.add(entry)
      entry.lane.entries.push(entry)
      this.#enter(entry)
      if (this.#online.running) this.#tellQueued(entry)
      this.#parts.keeper.keep(entry, () => this.#tellQueued(entry))
    })
  }

  /**
   * What an earlier life has left comes before everything that is not on its way yet. No promise is
   * there any more: `onOutbox` alone tells what becomes of it.
   */
  restore(restored: readonly Restored[]): void {
    const entries = restored.map(({ key, draft, owner, firstSentAt, window }) => {
      const entry = this.#entry(draft, { owner, resolve: ignore, reject: ignore, release: ignore })
      const sent = firstSentAt !== null
      Object.assign(entry, { firstSentAt, window, sent, orphaned: sent, unclaimed: true })
      this.#parts.keeper.adopt(entry, key)
      return entry
    })
    const present = [...this.#entries]
    this.#entries.clear()
    for (const entry of present) if (entry.inFlight) this.#entries.add(entry)
    for (const entry of entries) this.#entries.add(entry)
    for (const entry of present) this.#entries.add(entry)
    for (const entry of [...entries].reverse()) {
      const { lane } = entry
      lane.entries.splice(lane.inFlight, 0, entry)
    }
    for (const entry of entries) this.#enter(entry)
    for (const entry of entries) this.#tellQueued(entry)
    while (this.#isFull(0, 0)) {
      const last = this.#oldestNeverSent() ?? entries.pop()
      if (last === undefined) break
      this.settle(last, localError(last, 'queue_overflow', { message: this.#full }))
    }
    for (const entry of present) this.#parts.keeper.keep(entry)
  }

  sent(entry: Entry): void {
    if (!this.has(entry)) return
    this.#tellQueued(entry)
    this.#tell(entry, { state: 'sent' })
  }

  /** It has to be sent once more. */
  requeue(entry: Entry): void {
    this.#tell(entry, { state: 'queued' })
  }

  settle(entry: Entry, result: PublishAck | RealtimeError): void {
    if (!this.#entries.delete(entry)) return
    const { lane } = entry
    lane.entries.splice(lane.entries.indexOf(entry), 1)
    if (entry.inFlight) lane.inFlight -= 1
    if (lane.entries.length === 0) this.#lanes.delete(lane.topic)
    this.#bytes -= entry.bytes
    entry.release()
    if (this.#entries.size === 0) this.#alarm.clear()
    if (result instanceof RealtimeError) {
      this.failed += 1
      // What was rejected is never sent afterwards, not even after a crash at this moment [P5].
      this.#parts.keeper.remove(entry, () => {
        entry.reject(result)
        this.#tell(entry, { state: 'failed', error: result })
      })
    } else {
      this.acknowledged += 1
      this.#parts.keeper.remove(entry)
      entry.resolve(result)
      this.#tell(entry, { state: 'acknowledged', ack: result })
    }
  }

  /** Settles all that `fault` has an error for. */
  rejectWhere(fault: (entry: Entry) => RealtimeError | null): void {
    for (const entry of [...this.#entries]) {
      const error = fault(entry)
      if (error !== null) this.settle(entry, error)
    }
  }

  /** The link may be used, or not any more: other clocks run then. */
  online(on: boolean): void {
    this.expire()
    this.#online.run(on)
    if (!on) for (const lane of this.#lanes.values()) lane.reset()
    this.expire()
  }

  /** Settles what time has run out for, and finds out when to look again. */
  expire(): void {
    for (const entry of [...this.#entries]) {
      const error = this.overdue(entry)
      if (error !== null) this.settle(entry, error)
      else this.#watch(entry)
    }
  }

  /** What it dies of where its time has run out; null where it has not. */
  overdue(entry: Entry): RealtimeError | null {
    const { ms, code } = this.#left(entry)
    if (ms > 0) return null
    return localError(entry, code, { message: 'it was not acknowledged in time' })
  }

  /** Timers stand still while the machine sleeps: none is set for long. */
  #watch(entry: Entry): void {
    this.#alarm.within(Math.min(this.#left(entry).ms, WATCH_MS))
  }

  /** What the entry will die of first, and in how many ms. */
  #left(entry: Entry): { ms: number; code: 'expired' | 'timeout' } {
    const { publishDeadlineMs, maxOfflineMs } = this.#parts.limits
    const { lane, options } = entry
    const aliveMs = elapsedSince(this.#parts.runtime, entry.addedAt)
    const onlineMs = this.#online.ms - entry.onlineMs
    const ttlMs = (options.ttlMs ?? Infinity) - aliveMs
    if (!this.#online.running) {
      const ms = Math.min(ttlMs, maxOfflineMs - (aliveMs - onlineMs))
      return { ms, code: 'expired' }
    }
    const suspendedMs = lane.suspended.ms - entry.suspendedMs
    const deadlineMs = lane.suspended.running
      ? Infinity
      : publishDeadlineMs - (onlineMs - suspendedMs)
    return ttlMs < deadlineMs ? { ms: ttlMs, code: 'expired' } : { ms: deadlineMs, code: 'timeout' }
  }

  #makeRoom({ bytes, id, topic }: Draft): void {
    while (this.#isFull(1, bytes)) {
      const tooLarge = bytes > this.#parts.limits.maxQueueBytes
      const oldest = tooLarge ? undefined : this.#oldestNeverSent()
      if (oldest === undefined) {
        throw new RealtimeError('queue_overflow', `publish ${id} to ${topic}: ${this.#full}`)
      }
      this.settle(oldest, localError(oldest, 'queue_overflow', { message: this.#full }))
    }
  }

  /** Whether so much more would be too much. */
  #isFull(count: number, bytes: number): boolean {
    const { maxQueueSize, maxQueueBytes } = this.#parts.limits
    return this.#entries.size + count > maxQueueSize || this.#bytes + bytes > maxQueueBytes
  }

  get #full(): string {
    const { maxQueueSize, maxQueueBytes } = this.#parts.limits
    return `the outbox holds ${maxQueueSize} publishes or ${maxQueueBytes} bytes`
  }

  #entry(draft: Draft, ends: Pick<Entry, 'owner' | 'resolve' | 'reject' | 'release'>): Entry {
    const { topic } = draft
    const lane = this.#lanes.get(topic) ?? new Lane<Entry>(topic, this.#parts.runtime)
    this.#lanes.set(topic, lane)
    return {
      ...draft,
      ...ends,
      lane,
      onlineMs: this.#online.ms,
      suspendedMs: lane.suspended.ms,
      inFlight: false,
      sent: false,
      orphaned: false,
      firstSentAt: null,
      window: null,
      unclaimed: false,
      told: false,
    }
  }

  #enter(entry: Entry): void {
    this.#bytes += entry.bytes
    this.#watch(entry)
  }

  #oldestNeverSent(): Entry | undefined {
    for (const entry of this.#entries) if (!entry.sent) return entry
    return undefined
  }

  #tellQueued(entry: Entry): void {
    if (entry.told || !this.has(entry)) return
    entry.told = true
    this.#tell(entry, { state: 'queued' })
  }

  #tell(entry: Entry, event: Pick<OutboxEvent, 'state' | 'error' | 'ack'>): void {
    this.#parts.tell({ id: entry.id, topic: entry.topic, ...event })
  }
}

function ignore(): void {
  // Nobody waits for it.
}
