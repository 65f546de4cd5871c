import {
  RealtimeError,
  type Cancel,
  type Logger,
  type Runtime,
} from '@bmt-central/realtime-protocol'
import type { AcceptedIds, KnownTopics, Maybe, TopicIds } from '@bmt-central/realtime-server/broker'
import { decodeCommit } from './commit-record.js'
import type { DiskStream, DiskTopic } from './disk-stream.js'
import { endOf, KIND, keyOf, numberOf, seqOf } from './keys.js'
import type { Store } from './store.js'
import type { StoredIds } from './stored-ids.js'
import { unavailable } from './unavailable.js'

/** Ids that one turn of the event loop takes in: some milliseconds. */
const IDS_PER_TURN = 2_000
/** Turns that the start itself takes: what is few is there at once. */
const TURNS_AT_START = 4
/** When a store that could not be read is tried again. */
const RETRY_MS = 1_000
/** What waits for the ids, at most; past that a publish is refused. */
const MAX_WAITING = 10_000
const MAX_WAITING_BYTES = 64 * 1_024 * 1_024

interface Waiting {
  readonly bytes: number
  readonly run: () => void
  readonly refuse: (error: RealtimeError) => void
}

interface Target {
  readonly store: Store
  readonly ids: AcceptedIds
  readonly topics: KnownTopics<DiskStream>
  readonly stored: StoredIds
}

/**
 * Takes the accepted ids of the store into memory [P4]. Up to a million take longer than a start
 * should: what is more than a few goes on while the broker reads and subscribes already. What depends
 * on them waits, in its order, and is refused where the store cannot be read.
 */
export class IdLoading {
  readonly #target: Target
  /** By the numbers that ids may name: the topic's own, and that of before it was repaired. */
  readonly #topics = new Map<number, DiskTopic>()
  #next: Buffer | null
  #waiting: Waiting[] = []
  #waitingBytes = 0
  /** Why nothing may wait at present. */
  #failure: RealtimeError | null = null
  #cancel: Cancel = () => undefined

  constructor(target: Target) {
    this.#target = target
    this.#next = target.stored.first
    for (const state of target.topics.values()) {
      const { stream } = state
      this.#topics.set(stream.number, state)
      if (stream.earlier !== null) this.#topics.set(stream.earlier.number, state)
    }
  }

  /** Whether all are there. */
  get done(): boolean {
    return this.#next === null
  }

  /** What waits, for the statistics. */
  get bounds(): Record<'waitingForIds' | 'waitingForIdsBytes', { used: number; cap: number }> {
    return {
      waitingForIds: { used: this.#waiting.length, cap: MAX_WAITING },
      waitingForIdsBytes: { used: this.#waitingBytes, cap: MAX_WAITING_BYTES },
    }
  }

  /** Takes in what is few at once, and the rest in later turns. */
  start(runtime: Runtime, logger: Logger): void {
    for (let turn = 1; turn <= TURNS_AT_START && !this.done; turn += 1) this.#takeSome()
    if (!this.done) this.#later(0, { runtime, logger })
  }

  /**
   * The result of `run`, which needs the ids; `bytes`: what it holds meanwhile.
   * @throws RealtimeError `broker_unavailable` where too much waits, or they cannot be read
   */
  whenDone<Result>(bytes: number, run: () => Maybe<Result>): Promise<Result> {
    if (this.#failure !== null) throw this.#failure
    if (this.#waiting.length >= MAX_WAITING || this.#waitingBytes + bytes > MAX_WAITING_BYTES) {
      const what = 'the broker has just started: too much waits until it has read what it accepted'
      throw new RealtimeError('broker_unavailable', what)
    }
    this.#waitingBytes += bytes
    return new Promise<Result>((resolve, reject) => {
      const runNow = (): void => {
        try {
          resolve(run())
        } catch (error) {
          reject(error as Error)
        }
      }
      this.#waiting.push({ bytes, run: runNow, refuse: reject })
    })
  }

  /** Whether ids of a topic may be missing yet. */
  mayMiss(state: DiskTopic): boolean {
    return !this.done && this.#topics.get(state.stream.number) === state
  }

  /** Ends it before its time: the broker closes. */
  stop(): void {
    this.#cancel()
    this.#refuse(new RealtimeError('broker_unavailable', 'the broker is closed'))
  }

  #later(ms: number, ports: { readonly runtime: Runtime; readonly logger: Logger }): void {
    this.#cancel = ports.runtime.after(ms, () => {
      try {
        this.#takeSome()
      } catch (error) {
        this.#failed(error, ports.logger)
        this.#later(RETRY_MS, ports)
        return
      }
      this.#failure = null
      if (this.done) this.#runAll()
      else this.#later(0, ports)
    })
  }

  #runAll(): void {
    for (const { run } of this.#takeWaiting()) run()
  }

  #refuse(error: RealtimeError): void {
    this.#failure = error
    for (const { refuse } of this.#takeWaiting()) refuse(error)
  }

  #takeWaiting(): Waiting[] {
    const waiting = this.#waiting
    this.#waiting = []
    this.#waitingBytes = 0
    return waiting
  }

  /** Without them a resend would be published twice: nothing is taken until they can be read. */
  #failed(cause: unknown, logger: Logger): void {
    if (this.#failure === null) {
      logger.error('accepted ids cannot be read; publishes are refused meanwhile', {
        error: String(cause),
        todo: 'look at the health of the disk; start again where it does not go on by itself',
      })
    }
    this.#refuse(unavailable(cause))
  }

  #takeSome(): void {
    const { store } = this.#target
    if (this.#next === null) return
    let taken = 0
    for (const { key, body } of store.range(this.#next, endOf(KIND.commit))) {
      this.#next = key
      if (taken >= IDS_PER_TURN) return
      // The start has found it undamaged, and told clients that nothing is missing.
      if (body === null) throw new Error(`accepted ids of commit ${numberOf(key)} are damaged`)
      taken += this.#take(body)
      this.#next = keyOf(KIND.commit, numberOf(key), seqOf(key) + 1)
    }
    this.#next = null
  }

  #take(body: Buffer): number {
    const { timestamp, agedAtMs: atMs, ids: committed } = decodeCommit(body)
    for (const { number, from, id, hash, seq, deliveredTo } of committed) {
      const remembered = this.#idsOf(number)
      if (remembered === null) continue
      const accepted = { hash, seq, timestamp, deliveredTo, atMs }
      this.#target.ids.remember(remembered, { from, id }, accepted)
    }
    return committed.length
  }

  /** The stream may have been repaired meanwhile, or its topic forgotten. */
  #idsOf(number: number): TopicIds | null {
    const state = this.#topics.get(number)
    if (state === undefined || this.#target.topics.get(state.topic) !== state) return null
    const { stream } = state
    if (stream.number === number) return (state.ids ??= new Map())
    return stream.earlier?.number === number ? stream.earlier.ids : null
  }
}
