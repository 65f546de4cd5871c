import {
  decodeBatchAck,
  decodeEventMessage,
  decodeHistoryPage,
  MAX_BATCH_TOPICS,
  parseTopic,
  RealtimeError,
  type Cancel,
  type EventMessage,
  type Logger,
  type Position,
  type Runtime,
  type SubscribeAck,
  type Topic,
} from '@bmt-central/realtime-protocol'
import { backoffMs } from '../connection/backoff.js'
import type { Session } from '../connection/session.js'
import { Feed, type MessageCounts } from './feed.js'
import type { Join } from './join.js'
import { LocalSubscription, type MessageListener, type SubscribeOptions } from './subscription.js'

export interface RegistryParts {
  readonly runtime: Runtime
  readonly logger: Logger
  /** Calls `pump` in this turn, before anything is published. */
  readonly flush: () => void
  readonly isOwn: (message: EventMessage) => boolean
  /** What the rules say before the server is asked [R8]; null: ask it. */
  readonly denied: (topic: Topic) => RealtimeError | null
}

/** `subscribe` and `history` requests on their way at once: as many pages as the server sends [L16]. */
const MAX_ASKING = 4
const MAX_LOCALS = 10_000
const RETRY = { baseMs: 500, capMs: 30_000 }

/** All subscriptions: one on the wire for each topic, any number of local ones behind it. */
export class Registry {
  readonly #parts: RegistryParts
  readonly #feeds = new Map<Topic, Feed>()
  /** To be subscribed, in this order. */
  readonly #wanted = new Set<Feed>()
  /** Local ones that have to read their past first, and where. */
  readonly #joins = new Map<LocalSubscription, Feed>()
  /** To be unsubscribed. */
  readonly #unwanted = new Set<Topic>()
  /** Where the server knows of an interest of this link. */
  readonly #asked = new Set<Topic>()
  readonly #retries = new Map<Feed | LocalSubscription, Cancel>()
  readonly counts: MessageCounts = { received: 0, duplicates: 0, recoveredMessages: 0, gaps: 0 }
  listenerErrors = 0
  #session: Session | null = null
  #asking = 0
  #locals = 0
  #closed = false
  #cancelPause: Cancel = () => undefined

  constructor(parts: RegistryParts) {
    this.#parts = parts
  }

  subscribe(
    topic: string,
    listener: MessageListener | undefined,
    options: SubscribeOptions,
  ): LocalSubscription {
    let feed: Feed | null = null
    const local = new LocalSubscription({
      topic,
      listener,
      options,
      faulty: (error, event) => {
        this.listenerErrors += 1
        this.#parts.logger.error('listener threw', { topic, event, error })
      },
      left: () => feed && this.#leave(feed, local),
    })
    try {
      feed = this.#enter(parseTopic(topic), local, options)
      if (options.signal?.aborted) local.unsubscribe()
    } catch (error) {
      // Whoever subscribes attaches listeners first.
      queueMicrotask(() => local.fail(error as RealtimeError))
    }
    return local
  }

  /** The link may be used: everything is subscribed again from its position [C2]. */
  start(session: Session): void {
    this.#session = session
    this.pump()
  }

  stop(): void {
    this.#session = null
    this.#asking = 0
    this.#cancelPause()
    this.#unwanted.clear()
    this.#asked.clear()
    this.#joins.clear()
    for (const cancel of this.#retries.values()) cancel()
    this.#retries.clear()
    for (const feed of this.#feeds.values()) {
      feed.suspend()
      this.#wanted.add(feed)
    }
  }

  /** Another user [C8]. */
  forget(): void {
    for (const feed of this.#feeds.values()) feed.forget()
  }

  close(): void {
    this.#closed = true
    for (const feed of [...this.#feeds.values()]) {
      for (const local of feed.locals) local.unsubscribe()
    }
    this.stop()
  }

  /** Whether everything that is wanted has been asked for on this link. */
  get asked(): boolean {
    return this.#wanted.size === 0
  }

  /** A `message` from the server [W21]. */
  receive(data: unknown): void {
    try {
      const message = decodeEventMessage(data)
      const feed = this.#feeds.get(message.topic)
      if (feed?.receive(message) === false) this.#again(feed)
    } catch (error) {
      this.#parts.logger.error('message not understood', { error })
    }
  }

  isEphemeral(topic: Topic): boolean {
    return this.#feeds.get(topic)?.ephemeral ?? false
  }

  get size(): { locals: number; topics: number } {
    return { locals: this.#locals, topics: this.#feeds.size }
  }

  get bounds(): Record<string, { used: number; cap: number }> {
    let buffered = 0
    for (const feed of this.#feeds.values()) {
      for (const local of feed.locals) buffered = Math.max(buffered, local.buffered)
    }
    return {
      subscriptions: { used: this.#locals, cap: MAX_LOCALS },
      fullestIteration: { used: buffered, cap: 1_000 },
    }
  }

  /** Sends what is wanted, as far as the limits allow. */
  pump(): void {
    const session = this.#session
    if (session === null) return
    while (session.open) {
      const room = session.requests.available
      if (this.#unwanted.size + this.#wanted.size + this.#joins.size === 0) return
      if (room < 1) return this.#pause(session.requests.waitMs(1))
      const [topic] = this.#unwanted
      if (topic !== undefined) this.#unsubscribe(session, topic)
      else if (this.#asking >= MAX_ASKING) return
      else if (this.#wanted.size > 0) this.#ask(session, Math.min(room, MAX_BATCH_TOPICS))
      else this.#catchUp(session)
    }
  }

  #pause(ms: number): void {
    this.#cancelPause()
    this.#cancelPause = this.#parts.runtime.after(Math.ceil(ms), () => this.#parts.flush())
  }

  #enter(topic: Topic, local: LocalSubscription, options: SubscribeOptions): Feed {
    if (this.#closed) throw new RealtimeError('closed', 'the client is closed')
    if (this.#locals >= MAX_LOCALS) {
      const message = `this client has its maximum of ${MAX_LOCALS} subscriptions`
      throw new RealtimeError('too_many_subscriptions', message)
    }
    this.#locals += 1
    let feed = this.#feeds.get(topic)
    if (feed === undefined) {
      const { isOwn } = this.#parts
      feed = new Feed(topic, options, { counts: this.counts, isOwn })
      this.#feeds.set(topic, feed)
      this.#wanted.add(feed)
    }
    feed.add(local, options)
    if (feed.live) this.#joins.set(local, feed)
    this.#parts.flush()
    return feed
  }

  #leave(feed: Feed, local: LocalSubscription): void {
    this.#locals -= 1
    feed.remove(local)
    this.#forgetRetry(local)
    this.#joins.delete(local)
    if (feed.size > 0 || this.#feeds.get(feed.topic) !== feed) return
    this.#feeds.delete(feed.topic)
    this.#forgetRetry(feed)
    this.#wanted.delete(feed)
    feed.suspend()
    if (this.#asked.has(feed.topic)) this.#unwanted.add(feed.topic)
    this.#parts.flush()
  }

  #unsubscribe(session: Session, topic: Topic): void {
    this.#unwanted.delete(topic)
    this.#asked.delete(topic)
    session.requests.take(1)
    session.request('unsubscribe', { topic }, (answer, failure) => {
      if (session.over || (failure === null && isSuccess(answer))) return
      // It goes on sending what is ignored here: not urgent, but not for ever.
      if (!this.#feeds.has(topic)) this.#unwanted.add(topic)
      this.#pause(RETRY.capMs)
    })
  }

  #ask(session: Session, max: number): void {
    const batch: { feed: Feed; item: object; round: number }[] = []
    for (const feed of this.#wanted) {
      if (batch.length === max) break
      this.#wanted.delete(feed)
      const denied = this.#parts.denied(feed.topic)
      if (denied !== null) this.#fail(feed, denied)
      else batch.push({ feed, ...feed.ask() })
    }
    if (batch.length === 0) return
    for (const { feed } of batch) this.#asked.add(feed.topic)
    session.requests.take(batch.length)
    this.#asking += 1
    const topics = batch.map(({ item }) => item)
    session.request('subscribe', { topics }, (answer, failure) => {
      if (session.over) return
      this.#asking -= 1
      const results = failure ?? resultsOf(answer, batch.length)
      batch.forEach(({ feed, round }, index) => {
        const result = Array.isArray(results) ? results[index] : results
        if (result !== undefined && feed.isCurrent(round)) this.#answered(feed, result, round)
      })
      this.#parts.flush()
    })
  }

  #answered(feed: Feed, result: SubscribeAck | RealtimeError, round: number): void {
    if (result instanceof RealtimeError) {
      if (result.retryable) return this.#retry(feed, result, () => this.#wanted.add(feed))
      this.#asked.delete(feed.topic)
      return this.#fail(feed, result)
    }
    feed.page(result, round)
    if (!feed.isCurrent(round)) return
    if (result.more) this.#wanted.add(feed)
    for (const [local] of feed.joining) this.#joins.set(local, feed)
  }

  /** One step of a local subscription towards the flow [C9]. */
  #catchUp(session: Session): void {
    for (const [local, feed] of this.#joins) {
      this.#joins.delete(local)
      const join = feed.joinOf(local)
      const flow = feed.position
      if (join === null || flow === null || !feed.live) continue
      if (join.wantsPast(flow)) {
        return this.#readPast(session, { feed, local, join }, join.begin(flow))
      }
      feed.admit(local)
    }
  }

  #readPast(
    session: Session,
    { feed, local, join }: { feed: Feed; local: LocalSubscription; join: Join },
    since: Position,
  ): void {
    const { round } = feed
    const isCurrent = (): boolean => feed.isCurrent(round) && local.active
    const surroundings = { flow: () => feed.position, isOwn: this.#parts.isOwn, isCurrent }
    const limit = session.connected.limits.maxPageMessages
    session.requests.take(1)
    this.#asking += 1
    session.request('history', { topic: feed.topic, since, limit }, (answer, failure) => {
      if (session.over) return
      this.#asking -= 1
      try {
        if (failure !== null) throw failure
        const page = decodeHistoryPage(answer)
        if (!isCurrent()) join.stop()
        else if (join.page(page, local, surroundings)) feed.admit(local)
        // The stream began anew, and the flow has not heard of it yet.
        else if (page.epoch !== feed.position?.epoch) this.#again(feed)
        else if (isCurrent()) this.#joins.set(local, feed)
      } catch (error) {
        join.stop()
        if (isCurrent()) this.#joinRefused(feed, local, error)
      }
      this.#parts.flush()
    })
  }

  #joinRefused(feed: Feed, local: LocalSubscription, error: unknown): void {
    if (!(error instanceof RealtimeError)) throw error
    if (error.retryable) return this.#retry(local, error, () => this.#joins.set(local, feed))
    local.fail(error)
    this.#leave(feed, local)
  }

  /** The flow has a hole: from its position on by a new question. */
  #again(feed: Feed): void {
    feed.suspend()
    this.#wanted.add(feed)
    this.#parts.flush()
  }

  #retry(of: Feed | LocalSubscription, error: RealtimeError, run: () => void): void {
    const { runtime, logger } = this.#parts
    const refusals = of instanceof Feed ? of.refusals++ : 0
    const { retryAfterMs } = error
    if (error.code === 'rate_limited') this.#session?.requests.drain()
    const delayMs = backoffMs(refusals, runtime.random(), { ...RETRY, retryAfterMs })
    logger.warn('subscribe refused, will be tried again', {
      topic: of.topic,
      code: error.code,
      delayMs,
    })
    this.#forgetRetry(of)
    const cancel = runtime.after(delayMs, () => {
      this.#retries.delete(of)
      run()
      this.#parts.flush()
    })
    this.#retries.set(of, cancel)
  }

  #forgetRetry(of: Feed | LocalSubscription): void {
    this.#retries.get(of)?.()
    this.#retries.delete(of)
  }

  #fail(feed: Feed, error: RealtimeError): void {
    for (const local of feed.locals) {
      local.fail(error)
      this.#leave(feed, local)
    }
  }
}

function isSuccess(answer: unknown): boolean {
  return (answer as { status?: unknown } | null)?.status === 'success'
}

/** Each topic's own result, or the refusal of the whole request. */
function resultsOf(
  answer: unknown,
  count: number,
): (SubscribeAck | RealtimeError)[] | RealtimeError {
  try {
    return decodeBatchAck(answer, count)
  } catch (error) {
    if (error instanceof RealtimeError) return error
    throw error
  }
}
