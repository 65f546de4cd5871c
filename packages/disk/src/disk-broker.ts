import {
  RealtimeError,
  type Cancel,
  type Position,
  type Topic,
} from '@bmt-central/realtime-protocol'
import {
  Stream,
  type Accepted,
  type Broker,
  type BrokerContext,
  type BrokerSink,
  type BrokerStats,
  type Draft,
  type Maybe,
  type Publication,
  type PublishKey,
  type ReadQuery,
  type StreamPage,
  type StreamPolicy,
  type TopicState,
} from '@bmt-central/realtime-server/broker'
import { mkdirSync } from 'node:fs'
import { Appends } from './appends.js'
import { lockDirectory, type DirectoryLock } from './lock.js'
import { openStreams, META, type Entry, type Opened } from './opened.js'
import { checkOptions, type DiskBrokerOptions } from './options.js'
import { decodePublication } from './record.js'
import { KIND, keyOf, Store } from './store.js'

/** How often what has expired is freed; it is never shown, however long that takes. */
const SWEEP_INTERVAL_MS = 60_000
/** Topics, and maps of ids, that one turn of the event loop frees. */
const SWEPT_PER_TURN = 1_000

interface Running extends BrokerContext {
  readonly sink: BrokerSink
  readonly lock: DirectoryLock
  readonly opened: Opened
  readonly appends: Appends
}

/**
 * Order, retention and idempotency in one directory, without any other process. Everything that was
 * acknowledged is there after kill -9 and a restart, with `fsync: 'always'` after power loss, too
 * [P6]; accepted ids within the window are, too [P4]. Many publishes at once share one
 * transaction. One process uses a directory at a time.
 *
 * Bounds: as `MemoryBroker`, with texts on the disk: in memory are some 100 bytes of each retained
 * publication, of which `maxRetainedBytes` allows one for every 256 bytes at most.
 */
export class DiskBroker implements Broker {
  readonly #options: DiskBrokerOptions
  #state: Running | 'new' | 'starting' | 'closed' = 'new'
  #closing: Promise<void> | null = null
  readonly #waiting: Publication[] = []
  #announcing = false
  #cancelSweep: Cancel = () => undefined

  /** @throws RealtimeError `invalid_options` */
  constructor(options: DiskBrokerOptions) {
    checkOptions(options)
    this.#options = options
  }

  /** @throws RealtimeError `broker_unavailable` (another process holds the directory) · `invalid_options` */
  async start(sink: BrokerSink, context: BrokerContext): Promise<{ windowEpoch: string }> {
    if (this.#state !== 'new') {
      const what = 'a DiskBroker serves one server, once: make a new one'
      throw new RealtimeError('invalid_options', what)
    }
    this.#state = 'starting'
    const { path, lockWaitMs = 0, fsync = 'always' } = this.#options
    const { runtime, logger } = context
    mkdirSync(path, { recursive: true })
    const lock = await lockDirectory(path, lockWaitMs, runtime)
    let store: Store | null = null
    try {
      store = Store.open(path, { logger, aside: String(runtime.wallNow()) })
      const running = await this.#open({ sink, lock, context, store, fsync })
      if (this.#wasClosed()) {
        const what = 'the broker was closed while it started'
        throw new RealtimeError('broker_unavailable', what)
      }
      this.#state = running
      this.#sweepLater(running)
      sink.state('up')
      return { windowEpoch: running.opened.meta.windowEpoch }
    } catch (error) {
      this.#state = 'closed'
      await store?.close()
      await lock.release()
      throw error
    }
  }

  async #open(parts: {
    sink: BrokerSink
    lock: DirectoryLock
    context: BrokerContext
    store: Store
    fsync: 'always' | 'interval'
  }): Promise<Running> {
    const { sink, lock, context, store, fsync } = parts
    const limits = {
      ...context.limits,
      ...definedLimits(this.#options),
    }
    let appends: Appends | null = null
    const observer = {
      dropped: (state: TopicState<Entry>) => appends?.dropped(state),
      forgotten: (state: TopicState<Entry>) => appends?.forgotten(state),
    }
    const opened = await openStreams(store, { ...context, limits }, { fsync, observer })
    const running: Running = {
      ...context,
      limits,
      sink,
      lock,
      opened,
      appends: new Appends(opened, {
        durably: fsync === 'always',
        runtime: context.runtime,
        logger: context.logger,
        announce: (publication) => this.#announce(running, publication),
        state: (state) => sink.state(state),
      }),
    }
    appends = running.appends
    appends.catchUp()
    return running
  }

  publish(topic: Topic, draft: Draft, policy: StreamPolicy): Maybe<Accepted> {
    const running = this.#running()
    if (policy.delivery === 'ephemeral') return this.#pass(running, topic, draft)
    const first = this.accepted(topic, draft)
    if (first !== null) return first
    return running.appends.append({ topic, draft, policy })
  }

  accepted(topic: Topic, key: PublishKey): Accepted | null {
    return this.#running().appends.firstResult(topic, key)
  }

  follows(topic: Topic, from: string | null, after: string): boolean {
    return this.#running().appends.follows(topic, from, after)
  }

  subscribers(
    topic: Topic,
    local: number,
    live: number = local,
  ): { position: Position; total: number } {
    // Leaving is always possible: a server that shuts down does it in any order.
    if (this.#state === 'closed' && local === 0) return { position: NOWHERE, total: 0 }
    const { opened, runtime } = this.#running()
    const { topics } = opened
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
    const running = this.#running()
    const { opened, runtime, appends } = running
    const nowMs = runtime.monotonicNow()
    const state = opened.topics.get(topic)
    if (state === undefined) return new Stream(opened.topics.baseEpoch).read(query, nowMs)
    const page = state.stream.read(query, nowMs)
    const publications = page.publications.map((entry) => publicationOf(running, state, entry))
    opened.topics.used(state, nowMs)
    appends.dropped(state)
    return { ...page, publications }
  }

  stats(): BrokerStats {
    if (typeof this.#state === 'string') return EMPTY_STATS
    const { topics, ids } = this.#state.opened
    const { streams, retainedMessages, retainedBytes } = topics
    return { streams, retainedMessages, retainedBytes, idempotencyIds: ids.size }
  }

  /** Waits for what is being committed; that is acknowledged. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const before = this.#state
    this.#state = 'closed'
    this.#cancelSweep()
    if (typeof before === 'string') return
    const { opened, appends, lock, sink, logger } = before
    sink.state('down')
    await appends.close()
    const meta = { ...opened.meta, baseEpoch: opened.topics.baseEpoch, openOnBoot: null }
    try {
      await opened.store.write((writing) => writing.putJson(META, meta), true)
    } catch (error) {
      logger.warn('the clean end could not be noted', { error: String(error) })
    }
    await opened.store.close()
    await lock.release()
  }

  #running(): Running {
    if (typeof this.#state === 'object') return this.#state
    const what = this.#state === 'closed' ? 'is closed' : 'has not been started'
    throw new RealtimeError('broker_unavailable', `the broker ${what}`)
  }

  #wasClosed(): boolean {
    return this.#state === 'closed'
  }

  /** Announced and forgotten [P11]. */
  #pass(running: Running, topic: Topic, draft: Draft): Accepted {
    const { id, from, payloadJson, payloadBytes } = draft
    const timestamp = running.runtime.wallNow()
    const deliveredTo = running.opened.topics.get(topic)?.live ?? 0
    this.#announce(running, { topic, id, from, ...NOWHERE, payloadJson, payloadBytes, timestamp })
    return { ...NOWHERE, timestamp, duplicate: false, deliveredTo }
  }

  /** What comes up during an announcement waits until it is over [P1]. */
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
      this.#sweep(running, running.opened.topics.values()),
    )
  }

  /** Frees what has expired, a part in each turn: others are served in between. */
  #sweep(running: Running, states: Iterator<TopicState<Entry>>): void {
    const { opened, appends, runtime } = running
    const nowMs = runtime.monotonicNow()
    let more = opened.ids.sweep(nowMs, SWEPT_PER_TURN)
    for (let count = 1; count <= SWEPT_PER_TURN; count += 1) {
      const next = states.next()
      if (next.done === true) break
      opened.topics.tidy(next.value, nowMs)
      if (count === SWEPT_PER_TURN) more = true
    }
    if (more) this.#cancelSweep = runtime.after(0, () => this.#sweep(running, states))
    else {
      appends.cleanUp()
      this.#sweepLater(running)
    }
  }
}

/** Where ephemeral publications are [P11]. */
const NOWHERE: Position = { epoch: '', seq: 0 }

const EMPTY_STATS: BrokerStats = {
  streams: 0,
  retainedMessages: 0,
  retainedBytes: 0,
  idempotencyIds: 0,
}

function definedLimits(options: DiskBrokerOptions): Partial<BrokerContext['limits']> {
  const { path: _path, fsync: _fsync, lockWaitMs: _lockWaitMs, ...limits } = options
  return Object.fromEntries(Object.entries(limits).filter(([, value]) => value !== undefined))
}

/** @throws RealtimeError `internal_error` where the record was damaged while the server ran */
function publicationOf(running: Running, state: TopicState<Entry>, entry: Entry): Publication {
  const { store, places } = running.opened
  const { seq, epoch, payloadBytes } = entry
  const number = places.get(state)?.number ?? 0
  const body = store.get(keyOf(KIND.publication, number, seq))
  if (body === undefined || body === null) {
    const { topic } = state
    running.logger.error('a record of the store is damaged', {
      topic,
      seq,
      todo: 'check the disk and restart the server: the stream then gets a new epoch',
    })
    throw new RealtimeError('internal_error', `publication ${seq} of ${topic} cannot be read`)
  }
  const { id, from, payloadJson, timestamp } = decodePublication(body)
  return { topic: state.topic, id, from, seq, epoch, payloadJson, payloadBytes, timestamp }
}
