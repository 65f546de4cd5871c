import { RealtimeError, type Logger } from '@bmt-central/realtime-protocol'
import { AcceptedIds, KnownTopics, type BrokerContext } from '@bmt-central/realtime-server/broker'
import { AgeingClock } from './ageing-clock.js'
import { CleanUp, doomedRecord, type DroppedRange } from './clean-up.js'
import { DiskStream, emptyFacts, type DiskTopic } from './disk-stream.js'
import { IdLoading } from './id-loading.js'
import { KIND, keyOf, META } from './keys.js'
import { loadStore, type Loaded, type LoadedTopic } from './load.js'
import { restoreDamaged } from './restore-damaged.js'
import { Numbers } from './numbers.js'
import { FORMAT, type MetaRecord } from './state-records.js'
import { putJson, remove, type Change, type Store } from './store.js'
import { findStoredIds, NO_STORED_IDS } from './stored-ids.js'

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
  /** Publishes wait for it. */
  readonly idLoading: IdLoading
}

export interface OpeningParts {
  readonly fsync: 'always' | 'interval'
  /** Of this start of the machine. */
  readonly bootId: string
  /** The end before was not clean. */
  readonly unclean: boolean
  /** Tells the store's file from a copy of it. */
  readonly file: string
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
    mayBeTorn(loaded, parts) || loaded.meta === null || loaded.lostTopics.length > 0
      ? restoreDamaged(store, loaded, { clock, numbers, newEpoch, logger })
      : { topics: loaded.topics, changes: [] }
  const tailLost = tailMayBeLost(loaded, parts, logger)
  const topics = tailLost
    ? found.topics.map((topic) => ({ ...topic, epoch: newEpoch() }))
    : found.topics
  const damaged = found.changes.length > 0 || loaded.meta === null
  const bounds = { windowMs: limits.idempotencyWindowMs, maxIds: limits.maxIdempotencyIds }
  const ids = new AcceptedIds(bounds, loaded.meta?.cut ?? null)
  const cleanUp = new CleanUp(store, bounds)
  const known = new KnownTopics<DiskStream>(limits, {
    ids,
    newEpoch,
    newStream: (epoch) =>
      new DiskStream(store, { number: numbers.topic(), facts: emptyFacts(epoch) }),
    baseEpoch: damaged || tailLost || !loaded.meta ? newEpoch() : loaded.meta.baseEpoch,
    forgotten: parts.forgotten,
  })
  const byUse = [...topics].sort((one, other) => one.usedAtMs - other.usedAtMs)
  const states = byUse.map((topic) => restoreTopic(store, known, topic))
  const dropIds = tailLost ? [...store.records(KIND.commit)].map(({ key }) => remove(key)) : []
  const stored = tailLost ? NO_STORED_IDS : findStoredIds(store, { nowMs: clock.now(), ...bounds })
  dropIds.push(...stored.damaged.map(remove))
  if (stored.cutUntilMs !== null) ids.forgotten(stored.cutUntilMs, clock.now())
  cleanUp.foundIds(stored.count, stored.first ?? keyOf(KIND.commit, loaded.nextCommit))
  for (const range of loaded.doomed) cleanUp.doomed(range)
  const idsLost =
    loaded.meta === null || tailLost || stored.damaged.length > 0 || topicsLost(loaded, topics)
  if (stored.damaged.length > 0) {
    logger.error('records of accepted ids are damaged: clients are told that all are lost', {
      damagedRecords: stored.damaged.length,
      todo: 'check the disk; nothing else is needed',
    })
  }

  const meta: MetaRecord = {
    format: FORMAT,
    baseEpoch: known.baseEpoch,
    windowEpoch: idsLost || !loaded.meta ? newEpoch() : loaded.meta.windowEpoch,
    fsync: parts.fsync,
    openOnBoot: parts.bootId,
    openFile: parts.file,
    nextNumber: numbers.nextTopic,
    clockAtMs: clock.now(),
    cut: ids.cut,
  }
  const renewed = tailLost
    ? topics.map(({ number, ...record }) => putJson(keyOf(KIND.topic, number), record))
    : []
  await store.write([...found.changes, ...dropIds, ...renewed, putJson(META, meta)])
  // Last: whatever is too much by now goes.
  for (const state of states) known.used(state, state.usedAtMs)
  const idLoading = new IdLoading({ store, ids, topics: known, stored })
  return { store, topics: known, ids, cleanUp, clock, meta, numbers, newEpoch, idLoading }
}

/** @throws RealtimeError `invalid_options` where another version wrote the store; nothing is changed */
export function refuseOtherFormat(format: unknown): void {
  if (format === FORMAT) return
  const what =
    `the store has format ${String(format)}, this version reads and writes ${FORMAT}: ` +
    'use the version that wrote it, or another directory'
  throw new RealtimeError('invalid_options', what)
}

/**
 * Whether every stream has to be looked through. Not where only the process ended, and this is the
 * very file that it used: the system still has all that was written to it, so the store is what the
 * last transaction left, as after a clean end. What a disk damages besides is found by who reads it.
 */
function mayBeTorn({ meta }: Loaded, { unclean, bootId, file }: OpeningParts): boolean {
  return unclean && !(meta?.openOnBoot === bootId && meta.openFile === file)
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

/** Whether ids may name topics that are not known any more, though nobody has forgotten them. */
function topicsLost({ topics: before, lostTopics }: Loaded, now: readonly LoadedTopic[]): boolean {
  const numbers = new Set(before.map(({ number }) => number))
  const found = new Set(now.flatMap(({ number, earlier }) => [number, earlier?.number]))
  return (
    lostTopics.length > 0 ||
    before.some(({ earlier }) => earlier !== undefined && !found.has(earlier.number)) ||
    now.some(({ number, earlier }) => earlier === undefined && !numbers.has(number))
  )
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
