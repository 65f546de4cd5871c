import {
  RealtimeError,
  type Cancel,
  type Logger,
  type Position,
  type Runtime,
  type Topic,
} from '@bmt-central/realtime-protocol'
import {
  Announcements,
  EMPTY_STATS,
  NOWHERE,
  type Accepted,
  type Broker,
  type BrokerContext,
  type BrokerLimits,
  type BrokerSink,
  type BrokerStats,
  type Draft,
  type Maybe,
  type PublishKey,
  type ReadQuery,
  type StreamPage,
  type StreamPolicy,
} from '@bmt-central/realtime-server/broker'
import { mkdirSync } from 'node:fs'
import { Appends } from './appends.js'
import { bootId } from './boot.js'
import type { CleanMark } from './clean-mark.js'
import { openDirectory } from './directory.js'
import { DiskStream, emptyFacts, StreamDamaged, type DiskTopic } from './disk-stream.js'
import { lockDirectory, type DirectoryLock } from './lock.js'
import { openStreams, type Opened } from './opened.js'
import { checkOptions, resolveLimits, type DiskBrokerOptions } from './options.js'
import { metaChange } from './placing.js'
import type { Append } from './waiting.js'

/** How often what has expired is freed; it is never shown, however long that takes. */
const SWEEP_INTERVAL_MS = 60_000
/** Topics, and maps of ids, that one turn of the event loop frees. */
const SWEPT_PER_TURN = 1_000

interface Running {
  readonly sink: BrokerSink
  readonly runtime: Runtime
  readonly logger: Logger
  readonly lock: DirectoryLock
  readonly mark: CleanMark
  readonly limits: Required<BrokerLimits>
  readonly opened: Opened
  readonly appends: Appends
  readonly announcements: Announcements
}

/** What a test gives in place of the machine's own. */
export interface DiskBrokerInternals {
  /** Differs after every start of the machine. */
  readonly bootId?: string
}

/**
 * Order, retention and idempotency in one directory, without any other process. Everything that was
 * acknowledged is there after kill -9 and a restart, with `fsync: 'always'` after power loss, too
 * [P6]; accepted ids within the window are, too [P4]. Many publishes at once share one
 * transaction. One process uses a directory at a time.
 *
 * Bounds: [L2] for each stream by its policy; `maxRetainedBytes` for all [L18], counted as about what
 * publications take on the disk; in memory are the positions of at most twice `maxTopics` topics and
 * the accepted ids [L17], and nothing for each publication. At most 10,000 publishes or 64 MiB wait
 * for the disk; past that `broker_unavailable`.
 *
 * While the disk takes nothing (full, broken) publishes are `broker_unavailable`; it is tried again
 * every second. A stream of which something is found to be damaged goes on in a new epoch [P3].
 */
export class DiskBroker implements Broker {
  readonly #options: DiskBrokerOptions
  readonly #internals: DiskBrokerInternals
  #state: Running | 'new' | 'starting' | 'closed' = 'new'
  #starting: Promise<unknown> = Promise.resolve()
  readonly #abort = new AbortController()
  #closing: Promise<void> | null = null
  #cancelSweep: Cancel = () => undefined

  /** @throws RealtimeError `invalid_options` */
  constructor(options: DiskBrokerOptions, internals: DiskBrokerInternals = {}) {
    checkOptions(options)
    this.#options = options
    this.#internals = internals
  }

  /**
   * @throws RealtimeError `broker_unavailable` (another broker holds the directory) · `invalid_options`
   *   (another version wrote the store)
   */
  start(sink: BrokerSink, context: BrokerContext): Promise<{ windowEpoch: string }> {
    if (this.#state !== 'new') {
      const what = 'a DiskBroker serves one server, once: make a new one'
      return Promise.reject(new RealtimeError('invalid_options', what))
    }
    this.#state = 'starting'
    const started = this.#start(sink, context)
    this.#starting = started.catch(() => undefined)
    return started
  }

  async #start(sink: BrokerSink, context: BrokerContext): Promise<{ windowEpoch: string }> {
    const { path, lockWaitMs = 0 } = this.#options
    let lock: DirectoryLock | null = null
    try {
      mkdirSync(path, { recursive: true })
      const { signal } = this.#abort
      lock = await lockDirectory(path, { waitMs: lockWaitMs, runtime: context.runtime, signal })
      const running = await this.#open({ sink, lock, context })
      this.#state = running
      this.#sweepLater(running)
      sink.state('up')
      return { windowEpoch: running.opened.meta.windowEpoch }
    } catch (error) {
      this.#state = 'closed'
      await lock?.release()
      throw error
    }
  }

  async #open(parts: {
    readonly sink: BrokerSink
    readonly lock: DirectoryLock
    readonly context: BrokerContext
  }): Promise<Running> {
    const { sink, lock, context } = parts
    const { path, fsync = 'always' } = this.#options
    const { runtime, logger } = context
    const suffix = String(runtime.wallNow())
    const newEpoch = (): string => runtime.id()
    const directory = { fsync, logger, suffix, newEpoch }
    const { store, mark, unclean } = await openDirectory(path, directory)
    try {
      this.#refuseClosed()
      let appends: Appends | null = null
      const limits = resolveLimits(this.#options, context.limits)
      const opened = await openStreams(
        store,
        { runtime, logger, limits },
        {
          fsync,
          bootId: this.#internals.bootId ?? bootId() ?? runtime.id(),
          unclean,
          file: mark.fileIdentity(),
          forgotten: (state) => {
            if (state.stream.head > 0 && opened.idLoading.mayMiss(state)) {
              opened.ids.forgotten(state.usedAtMs, opened.clock.now())
            }
            appends?.forgotten(state)
          },
        },
      )
      const announcements = new Announcements({ sink, logger })
      const running: Running = {
        runtime,
        logger,
        sink,
        lock,
        mark,
        limits,
        opened,
        announcements,
        appends: new Appends(opened, {
          runtime,
          logger,
          announce: (publication) => announcements.announce(publication),
          lost: (topic) => sink.lost(topic),
          state: (state) => sink.state(state),
        }),
      }
      appends = running.appends
      this.#refuseClosed()
      opened.idLoading.start(runtime, logger)
      return running
    } catch (error) {
      await store.close()
      throw error
    }
  }

  publish(topic: Topic, draft: Draft, policy: StreamPolicy): Maybe<Accepted> {
    const running = this.#running()
    const { announcements, opened, runtime } = running
    if (policy.delivery === 'ephemeral') {
      const deliveredTo = opened.topics.get(topic)?.live ?? 0
      return announcements.pass(topic, draft, { timestamp: runtime.wallNow(), deliveredTo })
    }
    return this.#withIds(draft.payloadBytes, () => publishOnce(running, { topic, draft, policy }))
  }

  accepted(topic: Topic, key: PublishKey): Maybe<Accepted | null> {
    return this.#withIds(0, () => this.#running().appends.firstResult(topic, key))
  }

  follows(topic: Topic, from: string | null, after: string): Maybe<boolean> {
    return this.#withIds(0, () => this.#running().appends.follows(topic, from, after))
  }

  subscribers(
    topic: Topic,
    local: number,
    live: number = local,
  ): { position: Position; total: number } {
    // Leaving is always possible: a server that shuts down does it in any order.
    if (this.#state === 'closed' && local === 0) return { position: NOWHERE, total: 0 }
    const { topics, clock } = this.#running().opened
    return topics.follow(topic, { local, live }, clock.now())
  }

  read(topic: Topic, query: ReadQuery): Maybe<StreamPage> {
    const running = this.#running()
    const { opened, appends } = running
    const { topics, clock, store } = opened
    const nowMs = clock.now()
    const state = topics.get(topic)
    if (state === undefined) {
      const facts = emptyFacts(topics.baseEpoch)
      return new DiskStream(store, { number: 0, facts }).read(topic, query, nowMs)
    }
    try {
      const page = state.stream.read(topic, query, nowMs)
      topics.used(state, nowMs)
      appends.touched(state)
      return page
    } catch (error) {
      if (!(error instanceof StreamDamaged)) throw this.#broken(running, error)
      // Nobody gets a part of it that looks like the whole [P3].
      return appends.repair(state).then(() => this.read(topic, query))
    }
  }

  stats(): BrokerStats {
    if (typeof this.#state === 'string') return EMPTY_STATS
    const { opened, appends, limits } = this.#state
    const { topics, ids, clock, idLoading } = opened
    const { streams, retainedMessages, retainedBytes } = topics
    const idempotencyWindowMs = ids.rememberedMs(clock.now())
    const idempotencyIds = ids.size
    const bounds = {
      retainedBytes: { used: retainedBytes, cap: limits.maxRetainedBytes },
      idempotencyIds: { used: idempotencyIds, cap: limits.maxIdempotencyIds },
      ...appends.bounds,
      ...idLoading.bounds,
    }
    return { streams, retainedMessages, retainedBytes, idempotencyIds, idempotencyWindowMs, bounds }
  }

  /** Waits for what is being committed; that is acknowledged. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#abort.abort()
    if (this.#state === 'starting') await this.#starting
    const before = this.#state
    this.#state = 'closed'
    this.#cancelSweep()
    if (typeof before === 'string') return
    const { opened, appends, lock, sink } = before
    sink.state('down')
    opened.idLoading.stop()
    try {
      noteUses(before)
      await appends.close()
      const noted = await this.#noteEnd(before)
      const clean = await closeStore(before)
      if (noted && clean) writeMark(before)
    } finally {
      await lock.release()
    }
  }

  /** False where the store does not take it. */
  async #noteEnd({ opened, logger }: Running): Promise<boolean> {
    try {
      await opened.store.write([metaChange(opened, null)])
      return true
    } catch (error) {
      logger.warn('the clean end could not be noted', { error: String(error) })
      return false
    }
  }

  /** What needs to know all accepted ids; `bytes`: what it holds while they are read. */
  #withIds<Result>(bytes: number, run: () => Maybe<Result>): Maybe<Result> {
    const { idLoading } = this.#running().opened
    return idLoading.done ? run() : idLoading.whenDone(bytes, run)
  }

  #broken({ appends, logger }: Running, error: unknown): RealtimeError {
    logger.error('the store cannot be read', { error: String(error) })
    appends.broken(error)
    const what = 'the store cannot be read: the log of the server says why'
    return new RealtimeError('broker_unavailable', what, { cause: error })
  }

  #running(): Running {
    if (typeof this.#state === 'object') return this.#state
    const what = this.#state === 'closed' ? 'is closed' : 'has not been started'
    throw new RealtimeError('broker_unavailable', `the broker ${what}`)
  }

  #refuseClosed(): void {
    if (!this.#abort.signal.aborted) return
    throw new RealtimeError('broker_unavailable', 'the broker was closed while it started')
  }

  #sweepLater(running: Running): void {
    this.#cancelSweep = running.runtime.after(SWEEP_INTERVAL_MS, () =>
      this.#sweep(running, running.opened.topics.values()),
    )
  }

  /** Frees what has expired, a part in each turn: others are served in between. */
  #sweep(running: Running, states: Iterator<DiskTopic>): void {
    const { opened, appends, runtime } = running
    if (!opened.idLoading.done) {
      this.#sweepLater(running)
      return
    }
    const nowMs = opened.clock.now()
    let more = opened.ids.sweep(nowMs, SWEPT_PER_TURN)
    for (let count = 1; count <= SWEPT_PER_TURN; count += 1) {
      const next = states.next()
      if (next.done === true) break
      const { value: state } = next
      appends.noteUse(state)
      opened.topics.tidy(state, nowMs)
      if (opened.topics.get(state.topic) === state) appends.touched(state)
      if (state.stream.earlier?.ids.size === 0) state.stream.earlier = null
      if (count === SWEPT_PER_TURN) more = true
    }
    if (more) this.#cancelSweep = runtime.after(0, () => this.#sweep(running, states))
    else {
      appends.commitRest()
      this.#sweepLater(running)
    }
  }
}

/** False where its last commit failed. */
async function closeStore({ opened, logger }: Running): Promise<boolean> {
  try {
    await opened.store.close()
    return true
  } catch (error) {
    logger.warn('the store was closed after a commit that failed', { error: String(error) })
    return false
  }
}

/** Without it the next start looks through the file. */
function writeMark({ mark, logger }: Running): void {
  try {
    mark.write()
  } catch (error) {
    logger.warn('the clean end could not be noted', { error: String(error) })
  }
}

function publishOnce({ appends }: Running, append: Append): Maybe<Accepted> {
  const { topic, draft } = append
  const first = appends.firstResult(topic, draft)
  if (first === null) return appends.append(append)
  if (!(first instanceof Promise)) return first
  // The first one failed: this one is as good as new.
  return first.then((result) => result ?? appends.append(append))
}

function noteUses({ opened, appends }: Running): void {
  for (const state of opened.topics.values()) appends.noteUse(state)
}
