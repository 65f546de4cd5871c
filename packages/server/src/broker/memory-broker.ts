import {
  RealtimeError,
  type Cancel,
  type Position,
  type Topic,
} from '@bmt-central/realtime-protocol'
import { definedFields, fieldsOption, integerOption, refuseKeys } from '../option-values.js'
import type { Publication } from '../publication.js'
import { AcceptedIds, type TopicIds } from './accepted-ids.js'
import type {
  Accepted,
  Broker,
  BrokerContext,
  BrokerLimits,
  BrokerSink,
  BrokerStats,
  Draft,
  PublishKey,
  ReadQuery,
  StreamPage,
  StreamPolicy,
} from './broker.js'
import { newPlace, Recency, type Place } from './recency.js'
import { Stream } from './stream.js'

/** How long the position of a stream is known that nobody uses [L2]. */
const POSITION_TTL_MS = 7 * 24 * 60 * 60_000
/** How often what has expired is freed; it is never shown, however long that takes. */
const SWEEP_INTERVAL_MS = 60_000
/** Topics that one turn of the event loop looks at. */
const SWEPT_PER_TURN = 1_000
/** Topics that are known at once, for each that may be live: the idle ones of 7 days need room. */
const KNOWN_PER_LIVE_TOPIC = 2

/** What is known of one topic: it has subscribers here, or a position. */
interface TopicState {
  readonly topic: Topic
  readonly stream: Stream
  readonly ids: TopicIds
  /** Subscribers of this server; those that are live among them. */
  local: number
  live: number
  usedAtMs: number
  /** What of it has been counted. */
  countedMessages: number
  countedBytes: number
  readonly place: Place<TopicState>
}

/** A broker between `start` and `close`. */
interface Running extends BrokerContext {
  readonly sink: BrokerSink
  readonly ids: AcceptedIds
}

/**
 * Order, retention and idempotency in the memory of this process: the default broker. It survives
 * every fault of a client and no end of the process: then every stream has a new epoch, which
 * readers are told [P3], and a new `windowEpoch` says that accepted ids were lost [P4].
 *
 * Bounds: [L2] for each stream by its policy; `maxRetainedBytes` for all [L18], counted as what
 * publications take in memory (some 256 bytes more than their payloads): those of streams without
 * subscribers go first, then of the others, longest unused first; `maxIdempotencyIds` [L17]; and
 * positions of at most twice `maxTopics` topics: beyond that, those without subscribers are
 * forgotten, first the ones that retain nothing, longest unused first.
 */
export class MemoryBroker implements Broker {
  readonly #options: Partial<BrokerLimits>
  #state: Running | 'new' | 'closed' = 'new'
  #baseEpoch = ''
  readonly #topics = new Map<Topic, TopicState>()
  /** Positions without publications and subscribers: the first to be forgotten. */
  readonly #bare = new Recency<TopicState>()
  /** Publications without subscribers: the first to be dropped. */
  readonly #unread = new Recency<TopicState>()
  /** Publications of topics that have subscribers. */
  readonly #followed = new Recency<TopicState>()
  #streams = 0
  #retainedMessages = 0
  #retainedBytes = 0
  /** Announcements that came up during an announcement: each of them waits until it is over [P1]. */
  readonly #waiting: Publication[] = []
  #announcing = false
  #cancelSweep: Cancel = () => undefined

  /** @throws RealtimeError `invalid_options` */
  constructor(options: Partial<BrokerLimits> = {}) {
    const fields = fieldsOption('the options of MemoryBroker', options)
    refuseKeys('MemoryBroker', fields, { known: Object.keys(LEAST) })
    for (const [name, least] of Object.entries(LEAST)) {
      if (fields[name] !== undefined) integerOption(`MemoryBroker.${name}`, fields[name], least)
    }
    this.#options = definedFields(options)
  }

  start(sink: BrokerSink, context: BrokerContext): Promise<{ windowEpoch: string }> {
    if (this.#state !== 'new') {
      const what = 'a MemoryBroker serves one server, once: make a new one'
      return Promise.reject(new RealtimeError('invalid_options', what))
    }
    const limits = { ...context.limits, ...this.#options }
    const { idempotencyWindowMs: windowMs, maxIdempotencyIds: maxIds } = limits
    const running = { ...context, limits, sink, ids: new AcceptedIds({ windowMs, maxIds }) }
    this.#state = running
    this.#baseEpoch = context.runtime.id()
    this.#sweepLater(running)
    sink.state('up')
    return Promise.resolve({ windowEpoch: context.runtime.id() })
  }

  publish(topic: Topic, draft: Draft, policy: StreamPolicy): Accepted {
    const running = this.#running()
    if (policy.delivery === 'ephemeral') return this.#pass(running, topic, draft)
    const nowMs = running.runtime.monotonicNow()
    const known = this.#topics.get(topic)
    const first = known === undefined ? null : this.#firstResult(running, known, draft)
    if (first !== null) return first
    if (draft.after !== undefined && !this.follows(topic, draft.from, draft.after)) {
      throw new RealtimeError(
        'out_of_order',
        `publish ${draft.after} to ${topic} is not accepted`,
        {
          details: { topic, after: draft.after },
        },
      )
    }
    const state = known ?? this.#add(running, topic)
    const { stream } = state
    const publication: Publication = {
      topic,
      id: draft.id,
      from: draft.from,
      seq: stream.head + 1,
      epoch: stream.epoch,
      payloadJson: draft.payloadJson,
      payloadBytes: draft.payloadBytes,
      timestamp: running.runtime.wallNow(),
    }
    const { seq, epoch, timestamp } = publication
    const deliveredTo = state.live
    if (stream.head === 0) this.#streams += 1
    stream.append(publication, policy, nowMs)
    running.ids.remember(state.ids, draft, {
      hash: draft.hash,
      seq,
      timestamp,
      deliveredTo,
      atMs: nowMs,
    })
    this.#used(running, state)
    this.#keepWithin(running.limits.maxRetainedBytes)
    this.#announce(running, publication)
    return withWindow(running, { epoch, seq, timestamp, duplicate: false, deliveredTo })
  }

  accepted(topic: Topic, key: PublishKey): Accepted | null {
    const running = this.#running()
    const state = this.#topics.get(topic)
    return state === undefined ? null : this.#firstResult(running, state, key)
  }

  follows(topic: Topic, from: string | null, after: string): boolean {
    const { ids, runtime } = this.#running()
    const state = this.#topics.get(topic)
    if (state === undefined) return false
    return ids.find(state.ids, from, after, runtime.monotonicNow()) !== null
  }

  subscribers(
    topic: Topic,
    local: number,
    live: number = local,
  ): { position: Position; total: number } {
    // Leaving is always possible: a server that shuts down does it in any order.
    if (this.#state === 'closed' && local === 0) {
      return { position: { epoch: this.#baseEpoch, seq: 0 }, total: 0 }
    }
    const running = this.#running()
    const known = this.#topics.get(topic)
    if (known === undefined && local === 0) {
      return { position: { epoch: this.#baseEpoch, seq: 0 }, total: 0 }
    }
    const state = known ?? this.#add(running, topic)
    state.local = local
    state.live = live
    this.#used(running, state)
    return { position: { epoch: state.stream.epoch, seq: state.stream.head }, total: local }
  }

  read(topic: Topic, query: ReadQuery): StreamPage {
    const running = this.#running()
    const nowMs = running.runtime.monotonicNow()
    const state = this.#topics.get(topic)
    if (state === undefined) return new Stream(this.#baseEpoch).read(query, nowMs)
    const page = state.stream.read(query, nowMs)
    this.#used(running, state)
    return page
  }

  stats(): BrokerStats {
    return {
      streams: this.#streams,
      retainedMessages: this.#retainedMessages,
      retainedBytes: this.#retainedBytes,
      idempotencyIds: typeof this.#state === 'object' ? this.#state.ids.size : 0,
    }
  }

  close(): Promise<void> {
    if (typeof this.#state === 'object') this.#state.sink.state('down')
    this.#state = 'closed'
    this.#cancelSweep()
    for (const state of this.#topics.values()) state.place.list?.remove(state.place)
    this.#topics.clear()
    this.#streams = 0
    this.#retainedMessages = 0
    this.#retainedBytes = 0
    return Promise.resolve()
  }

  #running(): Running {
    if (typeof this.#state === 'object') return this.#state
    const what = this.#state === 'new' ? 'has not been started' : 'is closed'
    throw new RealtimeError('broker_unavailable', `the broker ${what}`)
  }

  /** Announced and forgotten [P11]. */
  #pass(running: Running, topic: Topic, draft: Draft): Accepted {
    const { id, from, payloadJson, payloadBytes } = draft
    const timestamp = running.runtime.wallNow()
    const deliveredTo = this.#topics.get(topic)?.live ?? 0
    const position = { seq: 0, epoch: '' }
    this.#announce(running, { topic, id, from, ...position, payloadJson, payloadBytes, timestamp })
    return { ...position, timestamp, duplicate: false, deliveredTo }
  }

  /** The result of the publish with this key, where it is remembered. @throws RealtimeError `id_conflict` */
  #firstResult(running: Running, state: TopicState, key: PublishKey): Accepted | null {
    const nowMs = running.runtime.monotonicNow()
    const first = running.ids.find(state.ids, key.from, key.id, nowMs)
    if (first === null) return null
    if (first.hash !== key.hash) {
      throw new RealtimeError(
        'id_conflict',
        `message id ${key.id} was used for another payload in ${state.topic}`,
        { details: { topic: state.topic, messageId: key.id } },
      )
    }
    const { seq, timestamp, deliveredTo } = first
    const { epoch } = state.stream
    return withWindow(running, { epoch, seq, timestamp, duplicate: true, deliveredTo })
  }

  /** A topic that nothing is known of begins in the base epoch. @throws RealtimeError `channel_full` */
  #add(running: Running, topic: Topic): TopicState {
    const most = running.limits.maxTopics * KNOWN_PER_LIVE_TOPIC
    if (this.#topics.size >= most) {
      const longestUnused = this.#bare.oldest ?? this.#unread.oldest
      if (longestUnused === null) {
        throw new RealtimeError('channel_full', `the broker has its maximum of ${most} live topics`)
      }
      this.#forget(running, longestUnused)
    }
    const state: TopicState = {
      topic,
      stream: new Stream(this.#baseEpoch),
      ids: new Map(),
      local: 0,
      live: 0,
      usedAtMs: 0,
      countedMessages: 0,
      countedBytes: 0,
      get place() {
        return place
      },
    }
    const place = newPlace(state)
    this.#topics.set(topic, state)
    return state
  }

  #used(running: Running, state: TopicState): void {
    state.usedAtMs = running.runtime.monotonicNow()
    this.#count(state)
    const list = this.#listOf(state)
    if (list === null) state.place.list?.remove(state.place)
    else list.touch(state.place)
    // A topic that has neither subscribers nor a position is one that nothing is known of.
    if (state.local === 0 && state.stream.head === 0) this.#forget(running, state)
  }

  #listOf({ stream, local }: TopicState): Recency<TopicState> | null {
    if (stream.size > 0) return local > 0 ? this.#followed : this.#unread
    return local > 0 ? null : this.#bare
  }

  #count(state: TopicState): void {
    this.#retainedMessages += state.stream.size - state.countedMessages
    this.#retainedBytes += state.stream.heldBytes - state.countedBytes
    state.countedMessages = state.stream.size
    state.countedBytes = state.stream.heldBytes
  }

  /** Counts anew after publications were dropped without use; what is empty now stands at the old end. */
  #dropped(state: TopicState): void {
    this.#count(state)
    const list = this.#listOf(state)
    if (state.place.list === list) return
    if (list === null) state.place.list?.remove(state.place)
    else list.retire(state.place)
  }

  #keepWithin(maxBytes: number): void {
    while (this.#retainedBytes > maxBytes) {
      const longestUnused = this.#unread.oldest ?? this.#followed.oldest
      if (longestUnused === null) return
      longestUnused.stream.dropOldest()
      this.#dropped(longestUnused)
    }
  }

  /** From here on its old position means nothing: whoever comes with it is told so by the epoch [L2]. */
  #forget(running: Running, state: TopicState): void {
    this.#topics.delete(state.topic)
    state.place.list?.remove(state.place)
    this.#retainedMessages -= state.countedMessages
    this.#retainedBytes -= state.countedBytes
    running.ids.forget(state.ids, running.runtime.monotonicNow())
    if (state.stream.head === 0) return
    this.#streams -= 1
    this.#baseEpoch = running.runtime.id()
  }

  #announce(running: Running, publication: Publication): void {
    this.#waiting.push(publication)
    if (this.#announcing) return
    this.#announcing = true
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      try {
        running.sink.publication(next)
      } catch (error) {
        // It is retained already, so its publisher must not hear that it failed.
        const { topic, seq } = next
        running.logger.error('an announcement failed', { topic, seq, error: String(error) })
      }
    }
    this.#announcing = false
  }

  #sweepLater(running: Running): void {
    this.#cancelSweep = running.runtime.after(SWEEP_INTERVAL_MS, () =>
      this.#sweep(running, this.#topics.values()),
    )
  }

  /** Frees what has expired, some topics a turn: others are served in between. */
  #sweep(running: Running, states: Iterator<TopicState>): void {
    const nowMs = running.runtime.monotonicNow()
    let more = running.ids.sweep(nowMs, SWEPT_PER_TURN)
    for (let count = 0; count < SWEPT_PER_TURN; count += 1) {
      const next = states.next()
      if (next.done === true) break
      this.#tidy(running, next.value, nowMs)
      more ||= count === SWEPT_PER_TURN - 1
    }
    if (more) this.#cancelSweep = running.runtime.after(0, () => this.#sweep(running, states))
    else this.#sweepLater(running)
  }

  #tidy(running: Running, state: TopicState, nowMs: number): void {
    state.stream.expire(nowMs)
    this.#dropped(state)
    if (state.local === 0 && nowMs - state.usedAtMs >= POSITION_TTL_MS) this.#forget(running, state)
  }
}

/** The least value that each option may have. */
const LEAST: Readonly<Record<keyof BrokerLimits, number>> = {
  idempotencyWindowMs: 1,
  maxIdempotencyIds: 1,
  maxRetainedBytes: 0,
  maxTopics: 1,
}

function withWindow({ ids, runtime }: Running, accepted: Accepted): Accepted {
  const windowMs = ids.windowMs(runtime.monotonicNow())
  return windowMs === undefined ? accepted : { ...accepted, windowMs }
}
