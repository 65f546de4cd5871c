import {
  ANONYMOUS_ROLE,
  decodePublishAck,
  elapsedSince,
  instantNow,
  RealtimeError,
  type Logger,
  type Principal,
  type PublishAck,
  type Runtime,
  type Topic,
} from '@bmt-central/realtime-protocol'
import { Alarm } from '../alarm.js'
import { backoffMs } from '../connection/backoff.js'
import type { Session } from '../connection/session.js'
import { draftOf, localError, type Draft, type Entry, type PublishOptions } from './entry.js'
import { Keeper } from './keeper.js'
import type { OutboxStore } from './outbox-store.js'
import { Outbox, type OutboxEvent, type OutboxLimits } from './outbox.js'
import { RecentIds } from './recent-ids.js'
import type { Restored } from './stored-publish.js'

export interface PublisherParts {
  readonly runtime: Runtime
  readonly logger: Logger
  readonly limits: OutboxLimits
  /** Where it is kept over a reload; null: nowhere. */
  readonly store: OutboxStore | null
  readonly tell: (event: OutboxEvent) => void
  /** Calls `pump` in this turn, after the subscriptions. */
  readonly flush: () => void
  /** What is known to be refused before the server is asked [R8][L5]; only while there is a session. */
  readonly fault: (draft: Draft) => RealtimeError | null
  /** Whether the topic is known to be ephemeral [P11]. */
  readonly isEphemeral: (topic: Topic) => boolean
}

/** Publishes unanswered at once; the server carries out 256 requests of a connection at once [L15]. */
const WINDOW = 200
/** What must be left of the idempotency window for a resend to be safe [P4]. */
const WINDOW_RESERVE_MS = 30_000
const RETRY = { baseMs: 200, capMs: 5_000 }
const OWN_IDS = 10_000

/**
 * Sends what the outbox holds: in call order, pipelined, paced, and never twice where the server
 * could not know it for a resend.
 */
export class Publisher {
  readonly outbox: Outbox
  readonly keeper: Keeper
  readonly #parts: PublisherParts
  readonly #ownIds = new RecentIds(OWN_IDS)
  readonly #alarm: Alarm
  #session: Session | null = null
  /** Who is connected, or was last; null before the first time. */
  #owner: string | null = null
  #unanswered = 0
  #pausedUntil = 0
  /** How long the server remembers ids where that is shorter than its limit says [L17]. */
  #windowMs = Infinity
  #closed = false
  published = 0

  constructor(parts: PublisherParts) {
    const { runtime, logger, store, limits, tell } = parts
    this.#parts = parts
    this.keeper = new Keeper({
      runtime,
      logger,
      store,
      keeps: (entry) => this.#transient(entry) === null,
      restore: (restored) => this.#restore(restored),
      unreadable: (record, error) => this.#unreadable(record, error),
    })
    this.outbox = new Outbox({ runtime, limits, tell, keeper: this.keeper })
    this.#alarm = new Alarm(runtime, parts.flush)
    this.keeper.open()
  }

  /** Settles exactly once [P5]; misuse rejects, too. */
  publish(topic: string, payload: unknown, options: PublishOptions): Promise<PublishAck> {
    const id = options.id ?? this.#parts.runtime.id()
    this.published += 1
    try {
      const draft = draftOf(this.#parts.runtime, { topic, payload, options, id })
      const fault = this.#refuseNow(draft)
      if (fault !== null) throw fault
      this.#ownIds.add(id)
      const settled = this.outbox.add(draft, this.#owner)
      this.#parts.flush()
      return settled
    } catch (cause) {
      // A getter of the payload may throw whatever it likes.
      const error =
        cause instanceof RealtimeError
          ? cause
          : new RealtimeError('validation_failed', 'the payload cannot be read', { cause })
      this.outbox.failed += 1
      this.#parts.tell({ id, topic, state: 'failed', error })
      return Promise.reject(error)
    }
  }

  /** Whether this client object published it. */
  isOwn(id: string): boolean {
    return this.#ownIds.has(id)
  }

  get bounds(): Record<string, { used: number; cap: number }> {
    return {
      publishesUnanswered: { used: this.#unanswered, cap: WINDOW },
      ownIds: { used: this.#ownIds.size, cap: OWN_IDS },
      outboxChanges: { used: this.keeper.pending, cap: 2 * this.#parts.limits.maxQueueSize },
    }
  }

  /**
   * Somebody is connected: what another user has left is never sent [C8].
   * @returns whether this client had another user before
   */
  admit({ connected }: Session): boolean {
    const before = this.#owner
    this.#owner = ownerOf(connected.user)
    this.#claim()
    return before !== null && before !== this.#owner
  }

  start(session: Session): void {
    this.outbox.online(true)
    this.#session = session
    this.#pausedUntil = 0
    this.outbox.rejectWhere((entry) => this.#outlived(entry, session) ?? this.#transient(entry))
  }

  stop(): void {
    this.#session = null
    this.#unanswered = 0
    this.#alarm.clear()
    const lost: Entry[] = []
    for (const entry of this.outbox.entries) {
      if (!entry.inFlight) continue
      entry.inFlight = false
      entry.orphaned = true
      lost.push(entry)
    }
    this.outbox.online(false)
    this.outbox.rejectWhere((entry) => this.#transient(entry))
    for (const entry of lost) if (this.outbox.has(entry)) this.outbox.requeue(entry)
  }

  /**
   * The server's refusal is final [C1]. What an earlier life has left waits on: whom the server has
   * refused is not known, and its owner may come yet.
   */
  gaveUp(error: RealtimeError): void {
    const { code, message } = error
    this.outbox.rejectWhere((entry) =>
      entry.unclaimed ? null : localError(entry, code, { message, cause: error }),
    )
  }

  /** Everything that waits is rejected. Resolves once nothing of it is in the store. */
  close(): Promise<void> {
    this.#closed = true
    this.#rejectClosed()
    return this.keeper.close()
  }

  /** Sends what may be sent now. */
  pump(): void {
    const session = this.#session
    if (session === null || !session.open) return
    const now = this.#parts.runtime.monotonicNow()
    if (now < this.#pausedUntil) return this.#alarm.within(this.#pausedUntil - now)
    for (const entry of this.outbox.entries) {
      if (this.#unanswered >= WINDOW) return
      if (entry.inFlight) continue
      const waitMs = entry.lane.waitMs(now)
      if (waitMs > 0) {
        this.#alarm.within(waitMs)
        continue
      }
      const fault =
        this.outbox.overdue(entry) ??
        (entry.sent ? this.#outlived(entry, session) : this.#parts.fault(entry))
      if (fault !== null) {
        this.outbox.settle(entry, fault)
        continue
      }
      const paceMs = paceOf(session, entry)
      if (paceMs > 0) return this.#alarm.within(paceMs)
      if (this.keeper.mustMark(entry)) return this.#mark(session)
      this.#send(session, entry)
    }
  }

  /** Those that may be sent soon, at one go. */
  #mark(session: Session): void {
    const limit = Math.max(1, session.publishes.available)
    this.keeper.mark(this.outbox.entries, { limit, window: windowOf(session) }, this.#parts.flush)
  }

  #restore(restored: readonly Restored[]): void {
    for (const { draft } of restored) this.#ownIds.add(draft.id)
    this.outbox.restore(restored)
    if (this.#closed) return this.#rejectClosed()
    if (this.#owner === null) return
    // It takes over from another tab.
    this.#claim()
    if (this.#session === null) return
    this.outbox.rejectWhere((entry) => (entry.inFlight ? null : this.#transient(entry)))
    this.#parts.flush()
  }

  #unreadable(record: unknown, error: RealtimeError): void {
    const { id, topic } = Object(record) as { id?: unknown; topic?: unknown }
    const text = (value: unknown): string => (typeof value === 'string' ? value : '')
    this.outbox.failed += 1
    this.#parts.tell({ id: text(id), topic: text(topic), state: 'failed', error })
  }

  #rejectClosed(): void {
    const message = 'the client is closed'
    this.outbox.rejectWhere((entry) => localError(entry, 'closed', { message }))
  }

  /** Everything that waits is this user's from now on, or has gone. */
  #claim(): void {
    const owner = this.#owner
    const message = 'another user is connected now'
    this.outbox.rejectWhere((entry) =>
      entry.owner === null || entry.owner === owner
        ? null
        : localError(entry, 'closed', { message }),
    )
    for (const entry of this.outbox.entries) {
      const isNew = entry.owner === null
      entry.owner = owner
      entry.unclaimed = false
      if (isNew) this.keeper.keep(entry)
    }
  }

  #refuseNow(draft: Draft): RealtimeError | null {
    const { id, topic, options } = draft
    const what = `publish ${id} to ${topic}`
    if (this.#closed) return new RealtimeError('closed', `${what}: the client is closed`)
    if (options.signal?.aborted) {
      const cause: unknown = options.signal.reason
      return new RealtimeError('aborted', `${what}: aborted`, { cause })
    }
    if (this.#session?.open) return this.#parts.fault(draft)
    const waits = options.queue !== false && !this.#parts.isEphemeral(topic)
    return waits ? null : new RealtimeError('not_connected', `${what}: it may not wait`)
  }

  /** What may not wait for another link: `queue: false`, and ephemeral topics [P11]. */
  #transient(entry: Entry): RealtimeError | null {
    const waits = entry.options.queue !== false && !this.#parts.isEphemeral(entry.topic)
    return waits ? null : localError(entry, 'not_connected', { message: 'it may not wait' })
  }

  /** Once on the wire, and the server may have forgotten its id: a resend might be a second one [P4]. */
  #outlived(entry: Entry, session: Session): RealtimeError | null {
    if (entry.firstSentAt === null) return null
    const windowMs = Math.min(session.connected.limits.idempotencyWindowMs, this.#windowMs)
    const ageMs = elapsedSince(this.#parts.runtime, entry.firstSentAt)
    if (entry.window === windowOf(session) && ageMs <= windowMs - WINDOW_RESERVE_MS) return null
    const message = 'the server may have forgotten it, a resend might come twice'
    return localError(entry, 'timeout', { message })
  }

  #send(session: Session, entry: Entry): void {
    const { lane, id, topic, payload } = entry
    const after = lane.predecessor?.id
    session.publishes.take(1)
    session.publishBytes.take(entry.bytes)
    if (entry.orphaned) session.requests.take(1)
    if (entry.firstSentAt === null) {
      entry.firstSentAt = instantNow(this.#parts.runtime)
      entry.window = windowOf(session)
    }
    this.keeper.keep(entry)
    entry.inFlight = true
    entry.sent = true
    lane.inFlight += 1
    this.#unanswered += 1
    const request = { topic, payload, messageId: id, ...(after !== undefined && { after }) }
    session.request('publish', request, (answer, failure) => {
      // Its link is gone: `stop` takes it back.
      if (session.over) return
      this.#unanswered -= 1
      if (this.outbox.has(entry)) this.#answered(session, entry, failure ?? answer)
      this.#parts.flush()
    })
    this.outbox.sent(entry)
  }

  #answered(session: Session, entry: Entry, answer: unknown): void {
    entry.inFlight = false
    entry.lane.inFlight -= 1
    try {
      if (answer instanceof RealtimeError) throw answer
      const { messageId, topic, epoch, seq, deliveredTo, duplicate, windowMs } =
        decodePublishAck(answer)
      this.#windowMs = windowMs ?? Infinity
      const { lane } = entry
      const wasSuspended = lane.suspended.running
      lane.accepted()
      this.outbox.settle(entry, { messageId, topic, epoch, seq, deliveredTo, duplicate })
      // The deadlines of its successors run again.
      if (wasSuspended) this.outbox.expire()
    } catch (error) {
      if (!(error instanceof RealtimeError)) throw error
      this.#refused(session, entry, isRefusal(answer) ? error : notUnderstood(entry, error))
    }
  }

  #refused(session: Session, entry: Entry, error: RealtimeError): void {
    const { runtime, logger } = this.#parts
    const { code, retryAfterMs } = error
    if (!error.retryable) return this.outbox.settle(entry, error)
    const { lane } = entry
    // The server said no: it is as if it had never been sent, unless an earlier link leaves a doubt.
    if (!entry.orphaned) {
      entry.firstSentAt = null
      this.keeper.keep(entry)
    }
    lane.stall()
    const now = runtime.monotonicNow()
    const again = lane.refusals > 1 || (retryAfterMs === undefined && code !== 'out_of_order')
    const backoff = again ? backoffMs(lane.refusals - 1, runtime.random(), RETRY) : 0
    const delayMs = Math.max(retryAfterMs ?? 0, backoff)
    lane.hold(now + delayMs)
    if (code === 'rate_limited') {
      session.publishes.drain()
      if (entry.orphaned) session.requests.drain()
      this.#pausedUntil = now + delayMs
    }
    if (code !== 'out_of_order') {
      lane.suspended.run(code === 'broker_unavailable' || code === 'server_closing')
      logger.warn('publish refused, will be tried again', { code, topic: lane.topic, delayMs })
    }
    this.outbox.requeue(entry)
    this.outbox.expire()
  }
}

/** An anonymous user is another one on each connection: to themselves they are the same. */
function ownerOf({ userId, role }: Principal): string {
  return role === ANONYMOUS_ROLE ? '' : userId
}

/** Where the id is remembered: an anonymous user's is another one on each connection. */
function windowOf({ connected }: Session): string {
  return `${connected.windowEpoch} ${connected.user.userId}`
}

/** ms until the limits of [L6] (and [L7] for a resend) allow it. */
function paceOf(session: Session, entry: Entry): number {
  return Math.max(
    session.publishes.waitMs(1),
    session.publishBytes.waitMs(entry.bytes),
    entry.orphaned ? session.requests.waitMs(1) : 0,
  )
}

function isRefusal(answer: unknown): boolean {
  return (
    answer instanceof RealtimeError || (answer as { status?: unknown } | null)?.status === 'error'
  )
}

function notUnderstood(entry: Entry, cause: RealtimeError): RealtimeError {
  return localError(entry, 'invalid_message', { message: 'its answer was not understood', cause })
}
