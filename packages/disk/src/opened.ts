import { RealtimeError, type Runtime } from '@bmt-central/realtime-protocol'
import {
  AcceptedIds,
  KnownTopics,
  Stream,
  type BrokerContext,
  type TopicObserver,
  type TopicState,
} from '@bmt-central/realtime-server/broker'
import { bootId } from './boot.js'
import { CleanUp } from './clean-up.js'
import { loadStore, type Loaded, type LoadedTopic, type TopicRecord } from './load.js'
import { decodePublication } from './record.js'
import { KIND, keyOf, type Store } from './store.js'

const FORMAT = 1
export const META: Buffer = keyOf(KIND.meta)

/** Where a retained publication lies: its number and `seq` are its key. */
export interface Entry {
  readonly seq: number
  readonly epoch: string
  readonly payloadBytes: number
}

/** What the store has of a topic. */
export interface Placed {
  readonly number: number
  /** Of the publications that the store has. */
  oldest: number
  policy: TopicRecord['policy']
}

/** How the store was left. */
export interface MetaRecord {
  readonly format: number
  readonly baseEpoch: string
  readonly windowEpoch: string
  readonly fsync: 'always' | 'interval'
  /** Null after a clean end. */
  readonly openOnBoot: string | null
}

/** All that is known after a start. */
export interface Opened {
  readonly store: Store
  readonly topics: KnownTopics<Entry>
  readonly ids: AcceptedIds
  readonly cleanUp: CleanUp
  readonly places: Map<TopicState<Entry>, Placed>
  readonly meta: MetaRecord
  /** How long accepted ids are remembered [L17]. */
  readonly windowMs: number
  nextNumber: number
}

/** Reads the store, repairs it, and marks it as in use. Nothing is served before that is durable. */
export async function openStreams(
  store: Store,
  context: BrokerContext,
  parts: { fsync: 'always' | 'interval'; observer: TopicObserver<Entry> },
): Promise<Opened> {
  const { runtime, limits, logger } = context
  const newEpoch = (): string => runtime.id()
  const before = metaOf(store)
  const boot = bootId() ?? runtime.id()
  const ageLimitAt = runtime.wallNow() - limits.idempotencyWindowMs
  const loaded = loadStore(store, { ageLimitAt, newEpoch, logger })
  const unsure =
    before?.fsync === 'interval' && before.openOnBoot !== null && before.openOnBoot !== boot
  if (unsure) logger.warn('the end of what was accepted may be lost: every stream has a new epoch')
  const epochsLost = before === null || unsure || loaded.positionsLost
  const meta: MetaRecord = {
    format: FORMAT,
    baseEpoch: epochsLost ? newEpoch() : before.baseEpoch,
    windowEpoch: epochsLost || loaded.idsLost ? newEpoch() : before.windowEpoch,
    fsync: parts.fsync,
    openOnBoot: boot,
  }
  const renewed = unsure ? loaded.topics.map((topic) => ({ ...topic, epoch: newEpoch() })) : []
  await store.write((writing) => {
    for (const repair of loaded.repairs) repair(writing)
    for (const { number, facts: _, ...record } of renewed) {
      writing.putJson(keyOf(KIND.topic, number), record)
    }
    writing.putJson(META, meta)
  }, true)

  const { idempotencyWindowMs: windowMs, maxIdempotencyIds: maxIds } = limits
  const ids = new AcceptedIds({ windowMs, maxIds })
  const { baseEpoch } = meta
  const topics = new KnownTopics<Entry>(limits, { ids, newEpoch, baseEpoch, ...parts })
  const opened: Opened = {
    store,
    topics,
    ids,
    cleanUp: new CleanUp(maxIds),
    places: new Map(),
    meta,
    windowMs,
    nextNumber: loaded.nextNumber,
  }
  restore(opened, { ...loaded, topics: unsure ? renewed : loaded.topics }, runtime)
  return opened
}

/** @throws RealtimeError `invalid_options` where another version wrote the store */
function metaOf(store: Store): MetaRecord | null {
  const body = store.get(META)
  if (body === undefined || body === null) return null
  const meta = JSON.parse(body.toString()) as MetaRecord
  if (meta.format !== FORMAT) {
    const what = `the store has format ${meta.format}, this version reads ${FORMAT}: use the version that wrote it, or another directory`
    throw new RealtimeError('invalid_options', what)
  }
  return meta
}

/** Ages by the wall clock until here, by the monotonic one from here on [L2]. */
function restore(opened: Opened, loaded: Loaded, runtime: Runtime): void {
  const { topics, places, ids, cleanUp, store } = opened
  const [wallNow, nowMs] = [runtime.wallNow(), runtime.monotonicNow()]
  const monotonic = (timestamp: number): number => nowMs - Math.max(0, wallNow - timestamp)
  const states = new Map<number, TopicState<Entry>>()
  const byUse = [...loaded.topics].sort((one, other) => one.usedAt - other.usedAt)
  for (const topic of byUse) {
    const usedAtMs = monotonic(topic.usedAt)
    const state = topics.restore(topic.topic, streamOf(topic, monotonic), usedAtMs)
    places.set(state, { number: topic.number, oldest: topic.oldest, policy: topic.policy })
    states.set(topic.number, state)
  }
  for (const { number, seq, timestamp, kind } of loaded.ids) {
    const state = states.get(number)
    const key = keyOf(kind, number, seq)
    const body = store.get(key)
    if (state === undefined || body === undefined || body === null) continue
    const { from, id, hash, deliveredTo } = decodePublication(body)
    state.ids ??= new Map()
    const accepted = { hash, seq, timestamp, deliveredTo, atMs: monotonic(timestamp) }
    ids.remember(state.ids, { from, id }, accepted)
    if (kind === KIND.acceptedId) cleanUp.keeps(key, timestamp)
  }
  // Last: whatever is too much by now goes, with its ids in place.
  for (const state of states.values()) topics.used(state, state.usedAtMs)
}

function streamOf(topic: LoadedTopic, monotonic: (at: number) => number): Stream<Entry> {
  const { epoch, oldest, facts, policy } = topic
  const stream = new Stream<Entry>(epoch, oldest - 1)
  for (const [index, { payloadBytes, timestamp }] of facts.entries()) {
    const entry = { seq: oldest + index, epoch, payloadBytes }
    stream.append(entry, { delivery: 'recoverable', ...policy }, monotonic(timestamp))
  }
  return stream
}
