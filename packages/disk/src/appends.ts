import type { Cancel, Logger, Runtime, Topic } from '@bmt-central/realtime-protocol'
import {
  idConflict,
  outOfOrder,
  publishName,
  type Accepted,
  type Publication,
  type PublishKey,
} from '@bmt-central/realtime-server/broker'
import type { DiskTopic } from './disk-stream.js'
import { KIND, keyOf } from './keys.js'
import { forgetting, type Opened } from './opened.js'
import {
  droppedChanges,
  metaChange,
  placeAll,
  publicationChanges,
  topicChange,
  type Placing,
} from './placing.js'
import { isRemembered, remembered } from './remembered.js'
import { repairStream } from './repair.js'
import type { MetaRecord } from './state-records.js'
import { put, putJson, remove, type Change } from './store.js'
import { unavailable } from './unavailable.js'
import { WaitingAppends, type Append } from './waiting.js'

/** After a transaction that failed, when it is tried whether there is room again. */
const RETRY_MS = 1_000
/** So much has to fit before publishes are taken again: they would fail at once otherwise. */
const BALLAST_BYTES = 256 * 1_024
/** A topic that is only read has its use written down so often. */
const USE_WRITTEN_MS = 60 * 60_000
/** Topics whose use one transaction writes down. */
const USES_PER_COMMIT = 1_000

interface Ports {
  readonly runtime: Runtime
  readonly logger: Logger
  readonly announce: (publication: Publication) => void
  readonly lost: (topic: Topic) => void
  readonly state: (state: 'up' | 'down') => void
}

/**
 * Group commit: one transaction at a time, in which everything goes that has come up meanwhile.
 * Nothing of an append is visible before its transaction is durable [P6]; where that fails, nothing
 * of it has happened, and publishes are refused until a transaction succeeds again.
 */
export class Appends {
  readonly #opened: Opened
  readonly #ports: Ports
  readonly #waiting = new WaitingAppends()
  /** Topics whose record is to be written again. */
  readonly #touched = new Set<DiskTopic>()
  /** What the record of each topic says of its oldest publication, and of its use. */
  readonly #written = new WeakMap<DiskTopic, { oldest: number; usedAtMs: number }>()
  /** Changes that have no place elsewhere: records of forgotten topics, what failed. */
  #extra: Change[] = []
  readonly #repairs = new Map<DiskTopic, { promise: Promise<void>; done: () => void }>()
  #working: Promise<void> | null = null
  #down = false
  #writtenMeta: Pick<MetaRecord, 'baseEpoch' | 'nextNumber' | 'cut'>
  #cancelRetry: Cancel = () => undefined

  constructor(opened: Opened, ports: Ports) {
    this.#opened = opened
    this.#ports = ports
    this.#writtenMeta = opened.meta
    for (const state of opened.topics.values()) {
      const { usedAtMs, stream } = state
      this.#written.set(state, { oldest: stream.oldest, usedAtMs })
    }
  }

  /** What waits for a transaction, in numbers. */
  get bounds(): WaitingAppends['bounds'] {
    return this.#waiting.bounds
  }

  /** @throws RealtimeError `id_conflict` · `out_of_order` · `broker_unavailable` · `channel_full` */
  append(append: Append): Promise<Accepted> {
    const { topic, draft } = append
    const { from, id, after } = draft
    const same = this.#waiting.get(publishName(topic, from, id))
    if (same !== undefined) {
      if (same.draft.hash !== draft.hash) throw idConflict(topic, id)
      return same.result.then(asDuplicate)
    }
    if (after !== undefined && !this.#comesAfter(topic, from, after)) throw outOfOrder(topic, after)
    if (this.#down) throw unavailable()
    const result = this.#waiting.add(append)
    this.#work()
    return result
  }

  /** The result of the first publish with this key; of one under way: when it has one. @throws RealtimeError `id_conflict` */
  firstResult(topic: Topic, key: PublishKey): Accepted | null | Promise<Accepted | null> {
    const same = this.#waiting.get(publishName(topic, key.from, key.id))
    if (same !== undefined) {
      if (same.draft.hash !== key.hash) throw idConflict(topic, key.id)
      return same.result.then(asDuplicate, () => null)
    }
    return remembered(this.#opened, topic, key)
  }

  /** Whether `after` is accepted, or will have been when what comes now is. */
  follows(topic: Topic, from: string | null, after: string): boolean | Promise<boolean> {
    const same = this.#waiting.get(publishName(topic, from, after))
    if (same === undefined) return isRemembered(this.#opened, topic, { from, id: after })
    return same.result.then(
      () => true,
      () => false,
    )
  }

  /** A topic was used, or lost publications to a limit. */
  touched(state: DiskTopic): void {
    if (this.#written.get(state)?.oldest !== state.stream.oldest) this.#touched.add(state)
  }

  /** A topic is not known any more. */
  forgotten(state: DiskTopic): void {
    this.#touched.delete(state)
    const written = this.#written.get(state)
    if (written === undefined) return
    this.#written.delete(state)
    const { changes, range } = forgetting(state, written.oldest)
    this.#extra.push(...changes)
    this.#opened.cleanUp.doomed(range)
  }

  /** Makes a stream whole again that has lost something: it goes on in a new epoch. */
  repair(state: DiskTopic): Promise<void> {
    const running = this.#repairs.get(state)
    if (running !== undefined) return running.promise
    let done: () => void = () => undefined
    const promise = new Promise<void>((resolve) => {
      done = resolve
    })
    this.#repairs.set(state, { promise, done })
    this.#work()
    return promise
  }

  /** The store failed outside of a transaction. */
  broken(error: unknown): void {
    this.#goDown(error)
  }

  /** Notes one topic's use, where that is due; for topics that are read only. */
  noteUse(state: DiskTopic): void {
    const written = this.#written.get(state)
    if (written === undefined || this.#touched.size >= USES_PER_COMMIT) return
    if (state.local > 0) state.usedAtMs = this.#opened.clock.now()
    if (state.usedAtMs - written.usedAtMs >= USE_WRITTEN_MS) this.#touched.add(state)
  }

  /** Commits what only waits for a transaction. */
  commitRest(): void {
    if (!this.#down) this.#work()
  }

  /** Ends when all that was taken has been settled. */
  async close(): Promise<void> {
    this.#cancelRetry()
    if (!this.#down) this.#work()
    await this.#working
    this.#cancelRetry()
    for (const { done } of this.#repairs.values()) done()
  }

  #comesAfter(topic: Topic, from: string | null, after: string): boolean {
    return (
      this.#waiting.get(publishName(topic, from, after)) !== undefined ||
      isRemembered(this.#opened, topic, { from, id: after })
    )
  }

  #work(): void {
    this.#working ??= this.#commitAll()
  }

  async #commitAll(): Promise<void> {
    // What is published in the same turn goes into the same transaction.
    await Promise.resolve()
    do {
      await this.#repairAll()
      await this.#commit()
    } while (!this.#down && (this.#waiting.length > 0 || this.#repairs.size > 0))
    // In the same turn as the last look at the queue: nothing that comes up is overlooked.
    this.#working = null
  }

  async #repairAll(): Promise<void> {
    for (const [state, { done }] of this.#repairs) {
      try {
        await this.#repairOne(state)
        this.#repairs.delete(state)
        done()
        this.#ports.lost(state.topic)
      } catch (error) {
        this.#goDown(error)
        return
      }
    }
  }

  async #repairOne(state: DiskTopic): Promise<void> {
    const { store, numbers, newEpoch, topics, clock, ids } = this.#opened
    const { stream, topic } = state
    const before = { number: stream.number, epoch: stream.epoch }
    const into = { number: numbers.topic(), epoch: newEpoch() }
    const from = { number: stream.number, policy: stream.facts.policy }
    const { changes, facts, damaged } = repairStream(store, from, into)
    const record = { topic, ...facts, usedAtMs: clock.now(), earlier: before }
    await store.write([
      ...changes,
      remove(keyOf(KIND.topic, before.number)),
      putJson(keyOf(KIND.topic, into.number), record),
      metaChange(this.#opened),
    ])
    this.#ports.logger.error('records of a stream are damaged: it has a new epoch', {
      topic,
      damaged,
      kept: facts.head,
      todo: 'check the disk; nothing else is needed',
    })
    // Ids of an even earlier epoch are past their window, or as good as: damage is rare.
    if (stream.earlier !== null) ids.forget(stream.earlier.ids, clock.now())
    stream.earlier = { ...before, ids: state.ids ?? new Map() }
    state.ids = null
    stream.become({ number: into.number, facts })
    this.#written.set(state, { oldest: facts.oldest, usedAtMs: record.usedAtMs })
    topics.used(state, clock.now())
  }

  async #commit(): Promise<void> {
    const { store } = this.#opened
    let placings: Placing[] = []
    try {
      placings = placeAll(this.#opened, this.#waiting.take(), {
        timestamp: this.#ports.runtime.wallNow(),
        refuse: (waiting, error) => {
          this.#waiting.settled(waiting)
          waiting.reject(error)
        },
      })
      const { changes, done } = this.#transactionOf(placings)
      if (changes.length === 0) return
      await store.write(changes)
      done()
    } catch (error) {
      this.#failed(placings, error)
      return
    }
    this.#up()
    for (const placing of placings) this.#apply(placing)
    this.#unpin(placings)
  }

  /** All that one transaction changes, and what is so once it is committed. */
  #transactionOf(placings: readonly Placing[]): { changes: Change[]; done: () => void } {
    const { cleanUp, clock, topics, numbers, ids, idLoading } = this.#opened
    const chores = cleanUp.plan(clock.now(), { ids: idLoading.done })
    const extra = [...this.#extra]
    const added = new Map<DiskTopic, Placing[]>()
    for (const state of this.#touched) added.set(state, [])
    for (const placing of placings) {
      const list = added.get(placing.state)
      if (list === undefined) added.set(placing.state, [placing])
      else list.push(placing)
    }
    const states = new Set(added.keys())
    const changes = [...extra, ...this.#drops(states), ...chores.changes]
    changes.push(...publicationChanges(this.#opened, placings))
    for (const [state, list] of added) changes.push(topicChange(state, list))
    const { baseEpoch } = topics
    const { nextTopic: nextNumber } = numbers
    const { cut } = ids
    const meta = this.#writtenMeta
    if (baseEpoch !== meta.baseEpoch || nextNumber !== meta.nextNumber || cut !== meta.cut)
      changes.push(metaChange(this.#opened))
    if (this.#down) changes.push(put(keyOf(KIND.ballast), Buffer.alloc(BALLAST_BYTES)))
    const written = [...states].map((state) => {
      const { usedAtMs, stream } = state
      return { state, usedAtMs, oldest: stream.oldest }
    })
    const done = (): void => {
      this.#extra.splice(0, extra.length)
      this.#writtenMeta = { baseEpoch, nextNumber, cut }
      chores.done()
      cleanUp.addedIds(placings.length)
      for (const { state, ...what } of written) this.#noteWritten(state, what)
    }
    return { changes, done }
  }

  /** While the transaction was under way the topic may have been forgotten, or dropped more. */
  #noteWritten(state: DiskTopic, what: { oldest: number; usedAtMs: number }): void {
    this.#touched.delete(state)
    this.#written.set(state, what)
    if (this.#opened.topics.get(state.topic) === state) this.touched(state)
    else this.forgotten(state)
  }

  /** Publications that went since the topics' records were written. */
  #drops(states: ReadonlySet<DiskTopic>): Change[] {
    return [...states].flatMap((state) => {
      const { oldest } = state.stream
      return droppedChanges(state, this.#written.get(state)?.oldest ?? oldest)
    })
  }

  /** Pinned until the last of its transaction is in place. */
  #apply({ waiting, state, publication, body, deliveredTo, atMs }: Placing): void {
    const { ids } = this.#opened
    const { seq, epoch, timestamp, payloadBytes } = publication
    const { draft, policy } = waiting
    state.stream.append({ bodyBytes: body.length, payloadBytes, policy }, atMs)
    state.ids ??= new Map()
    ids.remember(state.ids, draft, { hash: draft.hash, seq, timestamp, deliveredTo, atMs })
    this.touched(state)
    this.#waiting.settled(waiting)
    const accepted = { epoch, seq, timestamp, duplicate: false, deliveredTo }
    waiting.resolve(ids.withWindow(accepted, atMs))
    this.#ports.announce(publication)
  }

  /** Those whose transaction failed are refused, and all that wait behind them. */
  #failed(placings: readonly Placing[], cause: unknown): void {
    for (const { waiting } of placings) {
      this.#waiting.settled(waiting)
      waiting.reject(unavailable(cause))
    }
    this.#unpin(placings)
    this.#goDown(cause)
  }

  #goDown(cause: unknown): void {
    const { logger, state, runtime } = this.#ports
    this.#cancelRetry()
    this.#cancelRetry = runtime.after(RETRY_MS, () => this.#work())
    const first = !this.#down
    this.#down = true
    this.#waiting.refuse(unavailable(cause))
    if (!first) return
    logger.error('the store failed; publishes are refused meanwhile', {
      error: String(cause),
      todo: 'free space on the disk, or look at its health; it goes on by itself',
    })
    state('down')
  }

  #up(): void {
    if (!this.#down) return
    this.#down = false
    this.#cancelRetry()
    this.#extra.push(remove(keyOf(KIND.ballast)))
    this.#ports.logger.info('the store takes publishes again')
    this.#ports.state('up')
  }

  #unpin(placings: readonly Placing[]): void {
    const { topics } = this.#opened
    for (const state of new Set(placings.map((placing) => placing.state))) {
      state.pinned = false
      topics.used(state, state.usedAtMs)
      this.touched(state)
    }
  }
}

const asDuplicate = (first: Accepted): Accepted => ({ ...first, duplicate: true })
