import { RealtimeError, type Logger } from '@bmt-central/realtime-protocol'
import {
  AcceptedIds,
  KnownTopics,
  type BrokerContext,
  type TopicState,
} from '@bmt-central/realtime-server/broker'
import { AgeingClock } from './ageing-clock.js'
import { CleanUp, doomedRecord, type DroppedRange } from './clean-up.js'
import { decodeCommit } from './commit-record.js'
import { DiskStream, emptyFacts } from './disk-stream.js'
import { endOf, KIND, keyOf, META } from './keys.js'
import { loadStore, type Loaded, type LoadedTopic } from './load.js'
import { restoreDamaged } from './restore-damaged.js'
import { Numbers } from './numbers.js'
import { FORMAT, type MetaRecord } from './state-records.js'
import { putJson, remove, type Change, type Store } from './store.js'

export type DiskTopic = TopicState<DiskStream>

/** All that is known after a start. */
export interface Opened {
  readonly store: Store
  readonly topics: KnownTopics<DiskStream>
  readonly ids: AcceptedIds
  readonly cleanUp: CleanUp
  readonly clock: AgeingClock
  /** What the store says; `nextNumber` and `baseEpoch` are written with what changes them. */
  readonly meta: MetaRecord
  readonly numbers: Numbers
  readonly newEpoch: () => string
}

export interface OpeningParts {
  readonly fsync: 'always' | 'interval'
  /** Of this start of the machine. */
  readonly bootId: string
  /** Whether every stream has to be looked through. */
  readonly lookThrough: boolean
  readonly forgotten: (state: DiskTopic) => void
}

/**
 * Reads what the store says of itself, repairs what was found to be damaged, and marks it as in use.
 * Nothing is served before that is committed.
 */
export async function openStreams(
  store: Store,
  {
    runtime,
    limits,
    logger,
  }: BrokerContext & { readonly limits: Required<BrokerContext['limits']> },
  parts: OpeningParts,
): Promise<Opened> {
  const loaded = loadStore(store)
  const newEpoch = (): string => runtime.id()
  const clock = new AgeingClock(runtime, loaded.clockAtMs)
  const numbers = new Numbers({ topic: loaded.nextNumber, commit: loaded.nextCommit })
  const found =
    parts.lookThrough || loaded.meta === null || loaded.lostTopics.length > 0
      ? restoreDamaged(store, loaded, { clock, numbers, newEpoch, logger })
      : { topics: loaded.topics, changes: [] }
  const tailLost = tailMayBeLost(loaded, parts, logger)
  const topics = tailLost
    ? found.topics.map((topic) => ({ ...topic, epoch: newEpoch() }))
    : found.topics
  const damaged = found.changes.length > 0 || loaded.meta === null
  const bounds = { windowMs: limits.idempotencyWindowMs, maxIds: limits.maxIdempotencyIds }
  const ids = new AcceptedIds(bounds)
  const cleanUp = new CleanUp(store, bounds)
  const known = new KnownTopics<DiskStream>(limits, {
    ids,
    newEpoch,
    newStream: (epoch) =>
      new DiskStream(store, { number: numbers.topic(), facts: emptyFacts(epoch) }),
    baseEpoch: damaged || tailLost || !loaded.meta ? newEpoch() : loaded.meta.baseEpoch,
    forgotten: parts.forgotten,
  })
  const states = new Map<number, DiskTopic>()
  const byUse = [...topics].sort((one, other) => one.usedAtMs - other.usedAtMs)
  for (const topic of byUse) states.set(topic.number, restoreTopic(store, known, topic))
  const dropIds: Change[] = []
  let idsLost = loaded.meta === null || tailLost
  if (tailLost) dropIds.push(...[...store.records(KIND.commit)].map(({ key }) => remove(key)))
  else idsLost = !restoreIds(store, { ids, cleanUp, states, topics, nowMs: clock.now() }) || idsLost
  for (const range of loaded.doomed) cleanUp.doomed(range)

  const meta: MetaRecord = {
    format: FORMAT,
    baseEpoch: known.baseEpoch,
    windowEpoch: idsLost || !loaded.meta ? newEpoch() : loaded.meta.windowEpoch,
    fsync: parts.fsync,
    openOnBoot: parts.bootId,
    nextNumber: numbers.nextTopic,
    clockAtMs: clock.now(),
  }
  const renewed = tailLost
    ? topics.map(({ number, ...record }) => putJson(keyOf(KIND.topic, number), record))
    : []
  await store.write([...found.changes, ...dropIds, ...renewed, putJson(META, meta)])
  // Last: whatever is too much by now goes, with its ids in place.
  for (const state of states.values()) known.used(state, state.usedAtMs)
  return { store, topics: known, ids, cleanUp, clock, meta, numbers, newEpoch }
}

/** @throws RealtimeError `invalid_options` where another version wrote the store; nothing is changed */
export function refuseOtherFormat(format: unknown): void {
  if (format === FORMAT) return
  const what =
    `the store has format ${String(format)}, this version reads and writes ${FORMAT}: ` +
    'use the version that wrote it, or another directory'
  throw new RealtimeError('invalid_options', what)
}

/** Whether the last that was accepted before may have gone with the machine [P6]. */
function tailMayBeLost({ meta }: Loaded, parts: OpeningParts, logger: Logger): boolean {
  const lost =
    meta?.fsync === 'interval' && meta.openOnBoot !== null && meta.openOnBoot !== parts.bootId
  if (lost) {
    logger.warn('the end of what was accepted may be lost: every stream has a new epoch', {
      why: "the machine went down while the store was in use with fsync 'interval'",
    })
  }
  return lost
}

function restoreTopic(
  store: Store,
  known: KnownTopics<DiskStream>,
  record: LoadedTopic,
): DiskTopic {
  const { topic, number, usedAtMs, earlier, epoch, head, oldest, bytes, held, policy } = record
  const facts = { epoch, head, oldest, bytes, held, policy }
  const stream = new DiskStream(store, { number, facts })
  if (earlier !== undefined) stream.earlier = { ...earlier, ids: new Map() }
  return known.restore(topic, stream, usedAtMs)
}

/** False where some may be missing. */
function restoreIds(
  store: Store,
  into: {
    readonly ids: AcceptedIds
    readonly cleanUp: CleanUp
    readonly states: ReadonlyMap<number, DiskTopic>
    readonly topics: readonly LoadedTopic[]
    readonly nowMs: number
  },
): boolean {
  const { ids, cleanUp, states } = into
  const earlier = new Map<number, DiskTopic>()
  for (const { number, earlier: before } of into.topics) {
    const state = states.get(number)
    if (before !== undefined && state !== undefined) earlier.set(before.number, state)
  }
  let whole = true
  for (const { body } of store.range(keyOf(KIND.commit), endOf(KIND.commit))) {
    if (body === null) {
      whole = false
      continue
    }
    const { timestamp, agedAtMs: atMs, ids: committed } = decodeCommit(body)
    cleanUp.storedIds(committed.length)
    for (const { number, from, id, hash, seq, deliveredTo } of committed) {
      const state = states.get(number)
      const remembered =
        state === undefined ? earlier.get(number)?.stream.earlier?.ids : (state.ids ??= new Map())
      if (remembered === undefined) continue
      ids.remember(remembered, { from, id }, { hash, seq, timestamp, deliveredTo, atMs })
    }
  }
  return whole
}

/** What a forgotten topic leaves to be removed; `oldest` of the publications that the store has. */
export function forgetting(
  state: DiskTopic,
  oldest: number,
): { changes: Change[]; range: DroppedRange } {
  const { number, head } = state.stream
  const range = { number, from: oldest, end: head + 1 }
  const changes = [remove(keyOf(KIND.topic, number))]
  if (range.end > range.from) changes.push(doomedRecord(range))
  return { changes, range }
}
