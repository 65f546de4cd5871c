import {
  RealtimeError,
  type Cancel,
  type Position,
  type Topic,
} from '@bmt-central/realtime-protocol'
import { definedFields, fieldsOption, integerOption, refuseKeys } from '../option-values.js'
import type { Publication } from '../publication.js'
import { AcceptedIds } from './accepted-ids.js'
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
import { KnownTopics, type TopicState } from './known-topics.js'
import { Stream } from './stream.js'

/** How often what has expired is freed; it is never shown, however long that takes. */
const SWEEP_INTERVAL_MS = 60_000
/** Topics, and maps of ids, that one turn of the event loop frees. */
const SWEPT_PER_TURN = 1_000

/** The least value that each option may have. */
const LEAST: Readonly<Record<keyof BrokerLimits, number>> = {
  idempotencyWindowMs: 1,
  maxIdempotencyIds: 1,
  maxRetainedBytes: 0,
  maxTopics: 1,
}

/** A broker between `start` and `close`. */
interface Running extends BrokerContext {
  readonly sink: BrokerSink
  readonly ids: AcceptedIds
  readonly topics: KnownTopics
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
    const { runtime } = context
    const limits = { ...context.limits, ...this.#options }
    const { idempotencyWindowMs: windowMs, maxIdempotencyIds: maxIds } = limits
    const ids = new AcceptedIds({ windowMs, maxIds })
    const topics = new KnownTopics(limits, {
      ids,
      newEpoch: () => runtime.id(),
      newStream: (epoch) => new Stream(epoch),
    })
    const running = { ...context, limits, sink, ids, topics }
    this.#state = running
    this.#sweepLater(running)
    sink.state('up')
    return Promise.resolve({ windowEpoch: runtime.id() })
  }

  publish(topic: Topic, draft: Draft, policy: StreamPolicy): Accepted {
    const running = this.#running()
    const { runtime, topics, ids } = running
    if (policy.delivery === 'ephemeral') return this.#pass(running, topic, draft)
    const nowMs = runtime.monotonicNow()
    const known = topics.get(topic)
    const first = firstResult(running, known, { key: draft, nowMs })
    if (first !== null) return first
    const { id, from, payloadJson, payloadBytes, hash, after } = draft
    if (after !== undefined && !this.follows(topic, from, after)) throw outOfOrder(topic, after)

    const state = known ?? topics.add(topic, nowMs)
    const { stream, live: deliveredTo } = state
    const { epoch } = stream
    const seq = stream.head + 1
    const timestamp = runtime.wallNow()
    const publication = { topic, id, from, seq, epoch, payloadJson, payloadBytes, timestamp }
    stream.append(publication, policy, nowMs)
    state.ids ??= new Map()
    ids.remember(state.ids, draft, { hash, seq, timestamp, deliveredTo, atMs: nowMs })
    topics.used(state, nowMs)
    // Last, when all is in place: whoever hears of it may publish or read at once.
    this.#announce(running, publication)
    return withWindow(ids, { epoch, seq, timestamp, duplicate: false, deliveredTo }, nowMs)
  }

  accepted(topic: Topic, key: PublishKey): Accepted | null {
    const running = this.#running()
    const nowMs = running.runtime.monotonicNow()
    return firstResult(running, running.topics.get(topic), { key, nowMs })
  }

  follows(topic: Topic, from: string | null, after: string): boolean {
    const { ids, topics, runtime } = this.#running()
    const remembered = topics.get(topic)?.ids ?? null
    if (remembered === null) return false
    return ids.find(remembered, from, after, runtime.monotonicNow()) !== null
  }

  subscribers(
    topic: Topic,
    local: number,
    live: number = local,
  ): { position: Position; total: number } {
    // Leaving is always possible: a server that shuts down does it in any order.
    if (this.#state === 'closed' && local === 0) return { position: NOWHERE, total: 0 }
    const { topics, runtime } = this.#running()
    const known = topics.get(topic)
    if (known === undefined && local === 0) {
      return { position: { epoch: topics.baseEpoch, seq: 0 }, total: 0 }
    }
    const nowMs = runtime.monotonicNow()
    const state = known ?? topics.add(topic, nowMs)
    state.local = local
    state.live = live
    topics.used(state, nowMs)
    return { position: { epoch: state.stream.epoch, seq: state.stream.head }, total: local }
  }

  read(topic: Topic, query: ReadQuery): StreamPage {
    const { topics, runtime } = this.#running()
    const nowMs = runtime.monotonicNow()
    const state = topics.get(topic)
    if (state === undefined) return new Stream(topics.baseEpoch).read(query, nowMs)
    const page = state.stream.read(query, nowMs)
    topics.used(state, nowMs)
    return page
  }

  stats(): BrokerStats {
    if (typeof this.#state === 'string') return EMPTY_STATS
    const { topics, ids, runtime } = this.#state
    const { streams, retainedMessages, retainedBytes } = topics
    const idempotencyWindowMs = ids.rememberedMs(runtime.monotonicNow())
    const idempotencyIds = ids.size
    return { streams, retainedMessages, retainedBytes, idempotencyIds, idempotencyWindowMs }
  }

  close(): Promise<void> {
    const before = this.#state
    this.#state = 'closed'
    this.#cancelSweep()
    if (typeof before === 'object') before.sink.state('down')
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
    const deliveredTo = running.topics.get(topic)?.live ?? 0
    this.#announce(running, { topic, id, from, ...NOWHERE, payloadJson, payloadBytes, timestamp })
    return { ...NOWHERE, timestamp, duplicate: false, deliveredTo }
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
      this.#sweep(running, running.topics.values()),
    )
  }

  /** Frees what has expired, a part in each turn: others are served in between. */
  #sweep(running: Running, states: Iterator<TopicState>): void {
    const nowMs = running.runtime.monotonicNow()
    let more = running.ids.sweep(nowMs, SWEPT_PER_TURN)
    for (let count = 1; count <= SWEPT_PER_TURN; count += 1) {
      const next = states.next()
      if (next.done === true) break
      running.topics.tidy(next.value, nowMs)
      if (count === SWEPT_PER_TURN) more = true
    }
    if (more) this.#cancelSweep = running.runtime.after(0, () => this.#sweep(running, states))
    else this.#sweepLater(running)
  }
}

/** Where ephemeral publications are [P11]. */
const NOWHERE: Position = { epoch: '', seq: 0 }

const EMPTY_STATS: BrokerStats = {
  streams: 0,
  retainedMessages: 0,
  retainedBytes: 0,
  idempotencyIds: 0,
  idempotencyWindowMs: 0,
}

/** The result of the publish with this key, where it is remembered. @throws RealtimeError `id_conflict` */
function firstResult(
  { ids }: Running,
  state: TopicState | undefined,
  { key, nowMs }: { readonly key: PublishKey; readonly nowMs: number },
): Accepted | null {
  if (state === undefined || state.ids === null) return null
  const first = ids.find(state.ids, key.from, key.id, nowMs)
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
  return withWindow(ids, { epoch, seq, timestamp, duplicate: true, deliveredTo }, nowMs)
}

function outOfOrder(topic: Topic, after: string): RealtimeError {
  return new RealtimeError('out_of_order', `publish ${after} to ${topic} is not accepted`, {
    details: { topic, after },
  })
}

function withWindow(ids: AcceptedIds, accepted: Accepted, nowMs: number): Accepted {
  const windowMs = ids.windowMs(nowMs)
  return windowMs === undefined ? accepted : { ...accepted, windowMs }
}
