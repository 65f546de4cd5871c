import {
  RealtimeError,
  type Cancel,
  type Position,
  type Topic,
} from '@bmt-central/realtime-protocol'
import { definedFields } from '../option-values.js'
import { AcceptedIds } from './accepted-ids.js'
import { Announcements } from './announcements.js'
import { EMPTY_STATS, NOWHERE } from './broker.js'
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
import { limitOptions } from './limit-options.js'
import { idConflict, outOfOrder } from './publish-key.js'
import { Stream } from './stream.js'

/** How often what has expired is freed; it is never shown, however long that takes. */
const SWEEP_INTERVAL_MS = 60_000
/** Topics, and maps of ids, that one turn of the event loop frees. */
const SWEPT_PER_TURN = 1_000

/** [L18] where neither the broker nor the server says anything. */
const MAX_RETAINED_BYTES = 256 * 1_024 * 1_024

/** A broker between `start` and `close`. */
interface Running extends BrokerContext {
  readonly limits: Required<BrokerLimits>
  readonly sink: BrokerSink
  readonly announcements: Announcements
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
  #cancelSweep: Cancel = () => undefined

  /** @throws RealtimeError `invalid_options` */
  constructor(options: Partial<BrokerLimits> = {}) {
    limitOptions('MemoryBroker', options)
    this.#options = definedFields(options)
  }

  start(sink: BrokerSink, context: BrokerContext): Promise<{ windowEpoch: string }> {
    if (this.#state !== 'new') {
      const what = 'a MemoryBroker serves one server, once: make a new one'
      return Promise.reject(new RealtimeError('invalid_options', what))
    }
    const { runtime } = context
    const limits = { maxRetainedBytes: MAX_RETAINED_BYTES, ...context.limits, ...this.#options }
    const { idempotencyWindowMs: windowMs, maxIdempotencyIds: maxIds } = limits
    const ids = new AcceptedIds({ windowMs, maxIds })
    const topics = new KnownTopics(limits, {
      ids,
      newEpoch: () => runtime.id(),
      newStream: (epoch) => new Stream(epoch),
    })
    const announcements = new Announcements({ sink, logger: context.logger })
    const running = { ...context, limits, sink, announcements, ids, topics }
    this.#state = running
    this.#sweepLater(running)
    sink.state('up')
    return Promise.resolve({ windowEpoch: runtime.id() })
  }

  publish(topic: Topic, draft: Draft, policy: StreamPolicy): Accepted {
    const running = this.#running()
    const { runtime, topics, ids, announcements } = running
    const known = topics.get(topic)
    if (policy.delivery === 'ephemeral') {
      const facts = { timestamp: runtime.wallNow(), deliveredTo: known?.live ?? 0 }
      return announcements.pass(topic, draft, facts)
    }
    const nowMs = runtime.monotonicNow()
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
    announcements.announce(publication)
    return ids.withWindow({ epoch, seq, timestamp, duplicate: false, deliveredTo }, nowMs)
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
    return topics.follow(topic, { local, live }, runtime.monotonicNow())
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
    const { topics, ids, runtime, limits } = this.#state
    const { streams, retainedMessages, retainedBytes } = topics
    const idempotencyWindowMs = ids.rememberedMs(runtime.monotonicNow())
    const idempotencyIds = ids.size
    const bounds = {
      retainedBytes: { used: retainedBytes, cap: limits.maxRetainedBytes },
      idempotencyIds: { used: idempotencyIds, cap: limits.maxIdempotencyIds },
    }
    return { streams, retainedMessages, retainedBytes, idempotencyIds, idempotencyWindowMs, bounds }
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

/** The result of the publish with this key, where it is remembered. @throws RealtimeError `id_conflict` */
function firstResult(
  { ids }: Running,
  state: TopicState | undefined,
  { key, nowMs }: { readonly key: PublishKey; readonly nowMs: number },
): Accepted | null {
  if (state === undefined || state.ids === null) return null
  const first = ids.find(state.ids, key.from, key.id, nowMs)
  if (first === null) return null
  if (first.hash !== key.hash) throw idConflict(state.topic, key.id)
  const { seq, timestamp, deliveredTo } = first
  const { epoch } = state.stream
  return ids.withWindow({ epoch, seq, timestamp, duplicate: true, deliveredTo }, nowMs)
}
