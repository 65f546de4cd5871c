import {
  RealtimeError,
  type Position,
  type Runtime,
  type Topic,
} from '@bmt-central/realtime-protocol'
import type {
  Accepted,
  Broker,
  BrokerContext,
  BrokerSink,
  BrokerStats,
  Draft,
  Maybe,
  PublishKey,
  ReadQuery,
  StreamPage,
  StreamPolicy,
} from '@bmt-central/realtime-server/broker'
import { idConflict, NOWHERE, outOfOrder, publishName } from '@bmt-central/realtime-server/broker'
import type { DurableStore } from './durable-store.js'

/** After a transaction that failed, when the disk takes publishes again. */
const RETRY_MS = 1_000

/** One publish on its way to the disk. */
interface Append {
  readonly topic: Topic
  readonly draft: Draft
  readonly policy: StreamPolicy
}

interface Waiting extends Append {
  readonly result: Promise<Accepted>
  readonly resolve: (accepted: Accepted) => void
  readonly reject: (error: unknown) => void
}

/** How the disk behaves. */
export interface Disk {
  /** ms that the transaction beginning now takes; 0: it is done in the same turn. */
  readonly commitMs: () => number
  /** Whether the disk refuses the transaction that is ending. */
  readonly fails: () => boolean
  /** Whether a transaction that a crash interrupts is on the disk all the same, as a whole. */
  readonly landed: () => boolean
}

interface Running extends BrokerContext {
  readonly sink: BrokerSink
}

/**
 * One process's life of a durable broker: what the disk broker does between a publish and its
 * commit, in virtual time. Appends wait for a transaction, one at a time, in which everything goes
 * that has come up meanwhile; nothing of them is seen, acknowledged or announced before it is
 * committed [P6]. What was not committed is lost when the process dies.
 */
export class DurableBroker implements Broker {
  readonly #store: DurableStore
  readonly #disk: Disk
  #state: Running | 'new' | 'closed' = 'new'
  /** In no transaction yet. */
  #queue: Waiting[] = []
  /** In the transaction that is under way. */
  #batch: readonly Waiting[] = []
  /** All of both, by (topic, user, id). */
  readonly #unsettled = new Map<string, Waiting>()
  #working: Promise<void> | null = null
  #runtime: Runtime | null = null
  #locked = false
  #down = false

  constructor(store: DurableStore, disk: Disk) {
    this.#store = store
    this.#disk = disk
  }

  async start(sink: BrokerSink, context: BrokerContext): Promise<{ windowEpoch: string }> {
    await this.#store.lock()
    if (this.#state !== 'new') {
      this.#store.unlock()
      throw unavailable('was closed while it started')
    }
    this.#locked = true
    const { windowEpoch } = await this.#store.open(sink, context)
    this.#runtime = context.runtime
    this.#state = { ...context, sink }
    sink.state('up')
    return { windowEpoch }
  }

  publish(topic: Topic, draft: Draft, policy: StreamPolicy): Maybe<Accepted> {
    this.#running()
    if (policy.delivery === 'ephemeral') return this.#store.committed.publish(topic, draft, policy)
    const first = this.accepted(topic, draft)
    if (first === null) return this.#append({ topic, draft, policy })
    if (!(first instanceof Promise)) return first
    // The first one failed: this one is as good as new.
    return first.then((accepted) => accepted ?? this.publish(topic, draft, policy))
  }

  accepted(topic: Topic, key: PublishKey): Maybe<Accepted | null> {
    this.#running()
    const same = this.#unsettled.get(publishName(topic, key.from, key.id))
    if (same === undefined) return this.#store.committed.accepted(topic, key)
    if (same.draft.hash !== key.hash) throw idConflict(topic, key.id)
    return same.result.then(
      (first) => ({ ...first, duplicate: true }),
      () => null,
    )
  }

  follows(topic: Topic, from: string | null, after: string): Maybe<boolean> {
    this.#running()
    const same = this.#unsettled.get(publishName(topic, from, after))
    if (same === undefined) return this.#store.committed.follows(topic, from, after)
    return same.result.then(
      () => true,
      () => false,
    )
  }

  subscribers(
    topic: Topic,
    local: number,
    live?: number,
  ): Maybe<{ position: Position; total: number }> {
    // Leaving is always possible: a server that shuts down does it in any order.
    if (this.#state === 'closed' && local === 0) return { position: NOWHERE, total: 0 }
    this.#running()
    if (local > 0) this.#store.followed(topic)
    return this.#store.committed.subscribers(topic, local, live)
  }

  read(topic: Topic, query: ReadQuery): Maybe<StreamPage> {
    this.#running()
    return this.#store.committed.read(topic, query)
  }

  stats(): BrokerStats {
    return this.#store.committed.stats()
  }

  /** Waits for what is being committed; that is acknowledged. */
  async close(): Promise<void> {
    const before = this.#state
    this.#state = 'closed'
    if (typeof before === 'object') before.sink.state('down')
    await this.#working
    this.#letGo()
  }

  /** The process is gone, and with it what no transaction had taken to the disk. */
  crash(): void {
    const interrupted = this.#batch
    this.#state = 'closed'
    this.#queue = []
    this.#batch = []
    if (!this.#locked) return
    this.#store.silence()
    if (interrupted.length > 0 && this.#disk.landed()) {
      for (const append of interrupted) this.#commitOne(append)
    }
    this.#letGo()
  }

  #letGo(): void {
    if (this.#locked) this.#store.unlock()
    this.#locked = false
  }

  #running(): Running {
    if (typeof this.#state === 'object') return this.#state
    throw unavailable(this.#state === 'new' ? 'has not been started' : 'is closed')
  }

  /** @throws RealtimeError `out_of_order` · `broker_unavailable` */
  #append(append: Append): Promise<Accepted> {
    const { topic, draft } = append
    const { from, id, after } = draft
    if (after !== undefined && !this.#comesAfter(topic, from, after)) {
      throw outOfOrder(topic, after)
    }
    if (this.#down) throw unavailable('has no room at present')
    let resolve: Waiting['resolve'] = () => undefined
    let reject: Waiting['reject'] = () => undefined
    const result = new Promise<Accepted>((yes, no) => {
      resolve = yes
      reject = no
    })
    const waiting = { ...append, result, resolve, reject }
    this.#unsettled.set(publishName(topic, from, id), waiting)
    this.#queue.push(waiting)
    this.#working ??= this.#commitAll()
    return result
  }

  #comesAfter(topic: Topic, from: string | null, after: string): boolean {
    return (
      this.#unsettled.has(publishName(topic, from, after)) ||
      this.#store.committed.follows(topic, from, after)
    )
  }

  async #commitAll(): Promise<void> {
    // What is published in the same turn goes into the same transaction.
    await Promise.resolve()
    while (this.#queue.length > 0) {
      this.#batch = this.#queue
      this.#queue = []
      await this.#write()
      const batch = this.#batch
      this.#batch = []
      if (this.#disk.fails()) this.#failed(batch)
      else for (const waiting of batch) this.#settle(waiting)
    }
    this.#working = null
  }

  async #write(): Promise<void> {
    const ms = this.#disk.commitMs()
    const runtime = this.#runtime
    if (ms > 0) await new Promise<void>((resolve) => runtime?.after(ms, resolve))
  }

  #settle(waiting: Waiting): void {
    const { topic, draft } = waiting
    const result = this.#commitOne(waiting)
    this.#unsettled.delete(publishName(topic, draft.from, draft.id))
    if (result instanceof RealtimeError) waiting.reject(result)
    else waiting.resolve(result)
  }

  /** Sequence, retention, accepted id and announcement, all at once. */
  #commitOne({ topic, draft, policy }: Append): Accepted | RealtimeError {
    try {
      return this.#store.committed.publish(topic, draft, policy)
    } catch (error) {
      if (error instanceof RealtimeError) return error
      throw error
    }
  }

  /** Nothing of it has happened; what waits behind it is refused, too. */
  #failed(batch: readonly Waiting[]): void {
    const refused = [...batch, ...this.#queue]
    this.#queue = []
    for (const { topic, draft, reject } of refused) {
      this.#unsettled.delete(publishName(topic, draft.from, draft.id))
      reject(unavailable('has no room at present'))
    }
    if (typeof this.#state !== 'object') return
    const { sink, runtime } = this.#state
    this.#down = true
    sink.state('down')
    runtime.after(RETRY_MS, () => {
      this.#down = false
      if (typeof this.#state === 'object') sink.state('up')
    })
  }
}

function unavailable(what: string): RealtimeError {
  return new RealtimeError('broker_unavailable', `the broker ${what}`)
}
