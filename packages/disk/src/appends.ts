import {
  RealtimeError,
  type Cancel,
  type Logger,
  type Runtime,
  type Topic,
} from '@bmt-central/realtime-protocol'
import type {
  Accepted,
  Draft,
  Publication,
  PublishKey,
  StreamPolicy,
  TopicState,
} from '@bmt-central/realtime-server/broker'
import type { Chores } from './clean-up.js'
import { META, type Entry, type Opened, type Placed } from './opened.js'
import { encodePublication } from './record.js'
import { KIND, keyOf, type Writing } from './store.js'

/** What waits for a transaction, at most; past that a publish is refused. */
const MAX_WAITING = 10_000
const MAX_WAITING_BYTES = 64 * 1_024 * 1_024
/** Appends and payload bytes of one transaction. */
const MAX_COMMIT = 2_000
const MAX_COMMIT_BYTES = 8 * 1_024 * 1_024
/** After a transaction that failed, when it is looked at whether there is room again. */
const RETRY_MS = 1_000

/** One publish on its way to the disk. */
export interface Append {
  readonly topic: Topic
  readonly draft: Draft
  readonly policy: StreamPolicy
}

interface Waiting extends Append {
  readonly key: string
  readonly result: Promise<Accepted>
  readonly resolve: (accepted: Accepted) => void
  readonly reject: (error: unknown) => void
}

/** An append that has its place in the stream, if its transaction succeeds. */
interface Placing {
  readonly waiting: Waiting
  readonly state: TopicState<Entry>
  readonly publication: Publication
  readonly deliveredTo: number
  readonly atMs: number
}

interface Ports {
  /** Whether to wait for the disk [P6]. */
  readonly durably: boolean
  readonly runtime: Runtime
  readonly logger: Logger
  readonly announce: (publication: Publication) => void
  readonly state: (state: 'up' | 'down') => void
}

/**
 * Group commit: one transaction at a time, in which everything goes that has come up meanwhile.
 * Nothing of an append is visible before its transaction has the durability that was asked for;
 * where that fails, nothing of it has happened: the next transaction takes back what may be there.
 */
export class Appends {
  readonly #opened: Opened
  readonly #ports: Ports
  #queue: Waiting[] = []
  #queuedBytes = 0
  readonly #underWay = new Map<string, Waiting>()
  /** Topics whose record is to be written again. */
  readonly #touched = new Set<TopicState<Entry>>()
  #undo: Buffer[] = []
  #working: Promise<void> | null = null
  #down = false
  #writtenBase: string
  #cancelRetry: Cancel = () => undefined

  constructor(opened: Opened, ports: Ports) {
    this.#opened = opened
    this.#ports = ports
    this.#writtenBase = opened.meta.baseEpoch
  }

  /** @throws RealtimeError `id_conflict` · `out_of_order` · `broker_unavailable` · `channel_full` */
  append({ topic, draft, policy }: Append): Promise<Accepted> {
    const { from, id, after } = draft
    const key = nameOf(topic, from, id)
    const same = this.#underWay.get(key)
    if (same !== undefined) {
      if (same.draft.hash !== draft.hash) throw idConflict(topic, id)
      return same.result.then((first) => ({ ...first, duplicate: true }))
    }
    if (after !== undefined && !this.#comesAfter(topic, from, after)) {
      throw outOfOrder(topic, after)
    }
    if (this.#queue.length >= MAX_WAITING || this.#queuedBytes >= MAX_WAITING_BYTES) {
      throw new RealtimeError('broker_unavailable', 'the disk is behind: too much waits for it')
    }
    const { promise, resolve, reject } = deferred<Accepted>()
    const waiting = { topic, draft, policy, key, result: promise, resolve, reject }
    this.#underWay.set(key, waiting)
    this.#queue.push(waiting)
    this.#queuedBytes += draft.payloadBytes
    this.#work()
    return promise
  }

  /** @throws RealtimeError `id_conflict` */
  firstResult(topic: Topic, key: PublishKey): Accepted | null {
    const { topics, ids } = this.#opened
    const state = topics.get(topic)
    if (state === undefined || state.ids === null) return null
    const nowMs = this.#ports.runtime.monotonicNow()
    const first = ids.find(state.ids, key.from, key.id, nowMs)
    if (first === null) return null
    if (first.hash !== key.hash) throw idConflict(topic, key.id)
    const { seq, timestamp, deliveredTo } = first
    const { epoch } = state.stream
    return this.#withWindow({ epoch, seq, timestamp, duplicate: true, deliveredTo }, nowMs)
  }

  follows(topic: Topic, from: string | null, after: string): boolean {
    const { topics, ids } = this.#opened
    const remembered = topics.get(topic)?.ids ?? null
    if (remembered === null) return false
    return ids.find(remembered, from, after, this.#ports.runtime.monotonicNow()) !== null
  }

  /** Publications of a stream went: they go from the store, too. */
  dropped(state: TopicState<Entry>): void {
    const placed = this.#opened.places.get(state)
    if (placed === undefined || placed.oldest >= state.stream.oldest) return
    const end = state.stream.oldest
    this.#opened.cleanUp.dropped({ number: placed.number, from: placed.oldest, end })
    placed.oldest = end
    this.#touched.add(state)
  }

  forgotten(state: TopicState<Entry>): void {
    const placed = this.#opened.places.get(state)
    this.#touched.delete(state)
    if (placed === undefined) return
    this.#opened.places.delete(state)
    this.#opened.cleanUp.forgotten(placed.number)
  }

  /** What was dropped while the streams were restored. */
  catchUp(): void {
    for (const state of this.#opened.places.keys()) this.dropped(state)
  }

  /** Commits what only waits for a transaction. */
  cleanUp(): void {
    this.#work()
  }

  /** Ends when all that was taken has been settled. */
  async close(): Promise<void> {
    this.#cancelRetry()
    await this.#working
    this.#cancelRetry()
  }

  #comesAfter(topic: Topic, from: string | null, after: string): boolean {
    return this.follows(topic, from, after) || this.#underWay.has(nameOf(topic, from, after))
  }

  #work(): void {
    this.#working ??= this.#commitAll()
  }

  async #commitAll(): Promise<void> {
    // What is published in the same turn goes into the same transaction.
    await Promise.resolve()
    do await this.#commit()
    while (this.#queue.length > 0)
    // In the same turn as the last look at the queue: nothing that comes up is overlooked.
    this.#working = null
  }

  async #commit(): Promise<void> {
    const { store, cleanUp, topics } = this.#opened
    const placings = this.#place(this.#take())
    const touched = [...this.#touched]
    const nothing = placings.length + touched.length + cleanUp.pending + this.#undo.length === 0
    if (nothing && topics.baseEpoch === this.#writtenBase && !this.#down) return
    this.#touched.clear()
    const undo = this.#undo
    const written: Buffer[] = []
    const { baseEpoch } = topics
    const chores: { taken: Chores | null } = { taken: null }
    try {
      await store.write((writing) => {
        for (const key of undo) writing.remove(key)
        const ageLimitAt = this.#ageLimitAt()
        chores.taken = cleanUp.write(store, writing, ageLimitAt)
        for (const placing of placings) written.push(this.#put(writing, placing))
        const heads = new Map(placings.map((last) => [last.state, last.publication.seq]))
        for (const state of new Set([...touched, ...heads.keys()])) {
          const key = this.#putTopic(writing, state, heads.get(state) ?? state.stream.head)
          if (state.stream.head === 0 && key !== null) written.push(key)
        }
        writing.putJson(META, { ...this.#opened.meta, baseEpoch })
      }, this.#ports.durably)
    } catch (error) {
      this.#undo = [...undo, ...written]
      if (chores.taken !== null) cleanUp.restore(chores.taken)
      for (const state of [...touched, ...placings.map((placing) => placing.state)]) {
        if (this.#opened.places.has(state)) this.#touched.add(state)
      }
      this.#failed(placings, error)
      return
    }
    this.#undo = []
    this.#writtenBase = baseEpoch
    this.#up()
    for (const placing of placings) this.#apply(placing)
    this.#unpin(placings)
    for (const { state } of placings) this.dropped(state)
  }

  /** The next part of the queue. */
  #take(): Waiting[] {
    let [count, bytes] = [0, 0]
    for (const { draft } of this.#queue) {
      if (count >= MAX_COMMIT || (count > 0 && bytes + draft.payloadBytes > MAX_COMMIT_BYTES)) break
      count += 1
      bytes += draft.payloadBytes
    }
    this.#queuedBytes -= bytes
    return this.#queue.splice(0, count)
  }

  /** Gives each one its `seq`; what cannot have one is refused. */
  #place(taken: readonly Waiting[]): Placing[] {
    const { runtime } = this.#ports
    const atMs = runtime.monotonicNow()
    const timestamp = runtime.wallNow()
    const heads = new Map<TopicState<Entry>, number>()
    const names = new Set<string>()
    const placings: Placing[] = []
    for (const waiting of taken) {
      try {
        const { topic, draft } = waiting
        const { id, from, after, payloadJson, payloadBytes } = draft
        const inHere = after !== undefined && names.has(nameOf(topic, from, after))
        if (after !== undefined && !inHere && !this.follows(topic, from, after)) {
          throw outOfOrder(topic, after)
        }
        const state = this.#stateOf(topic, atMs)
        const seq = (heads.get(state) ?? state.stream.head) + 1
        heads.set(state, seq)
        names.add(waiting.key)
        const { epoch } = state.stream
        const publication = { topic, id, from, seq, epoch, payloadJson, payloadBytes, timestamp }
        placings.push({ waiting, state, publication, deliveredTo: state.live, atMs })
      } catch (error) {
        this.#settled(waiting)
        waiting.reject(error)
      }
    }
    return placings
  }

  #stateOf(topic: Topic, nowMs: number): TopicState<Entry> {
    const { topics, places } = this.#opened
    const state = topics.get(topic) ?? topics.add(topic, nowMs)
    topics.pin(state)
    state.usedAtMs = nowMs
    if (!places.has(state)) {
      const number = this.#opened.nextNumber
      this.#opened.nextNumber += 1
      const oldest = state.stream.oldest
      places.set(state, { number, oldest, policy: { size: 0, ttlMs: 0, bytes: 0 } })
    }
    return state
  }

  #put(writing: Writing, { waiting, state, publication, deliveredTo }: Placing): Buffer {
    const placed = this.#placeOf(state)
    const { topic, id, from, seq, timestamp, payloadJson } = publication
    const key = keyOf(KIND.publication, placed.number, seq)
    const { hash } = waiting.draft
    const { size, ttlMs, bytes } = waiting.policy
    placed.policy = { size, ttlMs, bytes }
    const record = { topic, id, from, hash, timestamp, deliveredTo, payloadJson }
    writing.put(key, encodePublication(key, record))
    return key
  }

  #putTopic(writing: Writing, state: TopicState<Entry>, head: number): Buffer | null {
    const placed = this.#opened.places.get(state)
    if (placed === undefined || head === 0) return null
    const { runtime } = this.#ports
    const key = keyOf(KIND.topic, placed.number)
    const usedAt = runtime.wallNow() - (runtime.monotonicNow() - state.usedAtMs)
    const { topic, stream } = state
    const { oldest, policy } = placed
    writing.putJson(key, { topic, epoch: stream.epoch, head, oldest, usedAt, policy })
    return key
  }

  #placeOf(state: TopicState<Entry>): Placed {
    const placed = this.#opened.places.get(state)
    if (placed === undefined) throw new Error(`${state.topic} has no place in the store`)
    return placed
  }

  /** Pinned until the last of its transaction is in place. */
  #apply({ waiting, state, publication, deliveredTo, atMs }: Placing): void {
    const { ids } = this.#opened
    const { seq, epoch, timestamp, payloadBytes } = publication
    const { draft, policy } = waiting
    state.stream.append({ seq, epoch, payloadBytes }, policy, atMs)
    state.ids ??= new Map()
    ids.remember(state.ids, draft, { hash: draft.hash, seq, timestamp, deliveredTo, atMs })
    this.dropped(state)
    this.#settled(waiting)
    const accepted = { epoch, seq, timestamp, duplicate: false, deliveredTo }
    waiting.resolve(this.#withWindow(accepted, atMs))
    this.#ports.announce(publication)
  }

  #failed(placings: readonly Placing[], cause: unknown): void {
    const { logger, state, runtime } = this.#ports
    for (const { waiting } of placings) {
      this.#settled(waiting)
      const what = 'the disk does not take it: see the log of the server'
      waiting.reject(new RealtimeError('broker_unavailable', what, { cause }))
    }
    this.#unpin(placings)
    this.#cancelRetry()
    this.#cancelRetry = runtime.after(RETRY_MS, () => this.#work())
    if (this.#down) return
    this.#down = true
    logger.error('a transaction of the store failed; publishes are refused meanwhile', {
      error: errorText(cause),
      todo: 'free space on the disk, or look at its health; it goes on by itself',
    })
    state('down')
  }

  #up(): void {
    if (!this.#down) return
    this.#down = false
    this.#cancelRetry()
    this.#ports.logger.info('the store takes publishes again')
    this.#ports.state('up')
  }

  #unpin(placings: readonly Placing[]): void {
    const { topics } = this.#opened
    for (const state of new Set(placings.map((placing) => placing.state))) {
      state.pinned = false
      topics.used(state, state.usedAtMs)
    }
  }

  #settled(waiting: Waiting): void {
    this.#underWay.delete(waiting.key)
  }

  #ageLimitAt(): number {
    return this.#ports.runtime.wallNow() - this.#opened.windowMs
  }

  #withWindow(accepted: Accepted, nowMs: number): Accepted {
    const windowMs = this.#opened.ids.windowMs(nowMs)
    return windowMs === undefined ? accepted : { ...accepted, windowMs }
  }
}

function deferred<T>() {
  let resolve: (value: T) => void = () => undefined
  let reject: (error: unknown) => void = () => undefined
  const promise = new Promise<T>((yes, no) => {
    resolve = yes
    reject = no
  })
  return { promise, resolve, reject }
}

/** Neither user nor id has a line break in it. */
const nameOf = (topic: Topic, from: string | null, id: string): string =>
  `${from === null ? '' : `u${from}`}\n${id}\n${topic}`

function errorText(cause: unknown): string {
  const { commitError } = cause as { commitError?: unknown }
  return String(commitError ?? cause)
}

function idConflict(topic: Topic, id: string): RealtimeError {
  const what = `message id ${id} was used for another payload in ${topic}`
  return new RealtimeError('id_conflict', what, { details: { topic, messageId: id } })
}

function outOfOrder(topic: Topic, after: string): RealtimeError {
  const what = `publish ${after} to ${topic} is not accepted`
  return new RealtimeError('out_of_order', what, { details: { topic, after } })
}
