import { getEventListeners } from 'node:events'
import { RealtimeClient, type SubscribeOptions } from '@bmt-central/realtime'
import { RealtimeError, type Runtime } from '@bmt-central/realtime-protocol'
import type { Chance } from './faults.js'
import type { Ledger } from './ledger.js'
import { LocalRuntime, type SleepKind } from './local-runtime.js'
import { MemoryWire } from './memory-wire.js'
import { mischief, type Mischievous } from './mischief.js'
import type { Listening, Publishing, Told } from './outcome.js'
import type { ServerNode } from './server-node.js'
import { tokenOf } from './server-node.js'

export interface ClientPartsOfWorld {
  readonly name: string
  readonly userId: string
  readonly world: Runtime
  readonly sleepKind: SleepKind
  readonly chance: Chance
  /** The server that takes connections now. */
  readonly server: () => ServerNode | null
  readonly fault: (what: string) => void
  readonly ledger: Ledger
}

const TOKEN_LIFE_MS = 600_000
const SHORT_TOKEN_LIFE_MS = 8_000
const PING_TIMEOUT_MS = 45_000

/** One real client on its own machine, and all that it was told. */
export class SimulatedClient implements Mischievous {
  readonly name: string
  readonly client: RealtimeClient
  readonly listening: Listening[] = []
  readonly publishing: Publishing[] = []
  readonly runtime: LocalRuntime
  readonly #parts: ClientPartsOfWorld
  readonly #byId = new Map<string, Publishing>()
  readonly #wakers = new Set<() => void>()
  #wire: MemoryWire | null = null
  /** Promises of `connect()` and `ready` that are not settled. */
  #promises = 0
  #wakeAt = 0

  constructor(parts: ClientPartsOfWorld) {
    const { world, chance, userId, sleepKind } = parts
    this.#parts = parts
    this.name = parts.name
    this.runtime = new LocalRuntime(world, sleepKind)
    const auth = (): string => {
      const lifeMs = chance.strikes('tokenExpiry') ? SHORT_TOKEN_LIFE_MS : TOKEN_LIFE_MS
      return tokenOf(userId, world.wallNow() + lifeMs)
    }
    this.client = new RealtimeClient(
      { url: 'ws://simulated', auth, runtime: this.runtime, maxQueueSize: 60 },
      {
        createLink: (handshake, listener) => this.#open(handshake, listener),
        wake: (listener) => {
          this.#wakers.add(listener)
          return () => void this.#wakers.delete(listener)
        },
      },
    )
    this.client.onOutbox(({ id, state }) => {
      const publish = this.#byId.get(id)
      if (publish !== undefined && (state === 'acknowledged' || state === 'failed')) {
        publish.finals += 1
      }
    })
  }

  /** When it has slept out, by the world's clock. */
  get wakeAt(): number {
    return this.#wakeAt
  }

  /** What is left of it that should be gone after `close()`. */
  get remains(): string[] {
    const found: string[] = []
    if (this.#wakers.size > 0) found.push(`${this.#wakers.size} listeners are left`)
    if (this.#promises > 0) found.push(`${this.#promises} promises are not settled`)
    const listened = this.publishing.filter(
      ({ abort }) => getEventListeners(abort.signal, 'abort').length > 0,
    )
    if (listened.length > 0) found.push(`${listened.length} signals are listened to`)
    return found
  }

  disconnect(): void {
    this.client.disconnect()
  }

  connect(): void {
    this.#watch(this.client.connect())
  }

  listen(topic: string, rewind: number): void {
    this.#listen(topic, { told: [], options: rewind > 0 ? { rewind } : {} })
  }

  /** Leaves, and goes on after the last position that it knows. */
  resume({ topic, told, subscription }: Listening): void {
    const { position } = subscription
    subscription.unsubscribe()
    if (position !== null) this.#listen(topic, { told, options: { since: position } })
  }

  publish(topic: string): void {
    const id = `${this.name}-${this.publishing.length}`
    const abort = new AbortController()
    const publish: Publishing = { id, topic, abort, result: 'pending', sendings: 0, finals: 0 }
    this.publishing.push(publish)
    this.#byId.set(id, publish)
    const settled = (result: Publishing['result']): void => {
      if (publish.result !== 'pending') this.#parts.fault(`[P5] ${id} settled twice`)
      publish.result = result
    }
    this.client.publish(topic, { id }, { id, signal: abort.signal }).then(
      ({ epoch, seq }) => settled({ epoch, seq }),
      (error: unknown) => settled(this.#known(error)),
    )
  }

  cut(): void {
    this.#wire?.cut()
  }

  swallow(): void {
    this.#wire?.swallow()
  }

  sleep(ms: number): void {
    if (this.runtime.asleep) return
    const { world } = this.#parts
    this.runtime.sleep()
    if (ms > PING_TIMEOUT_MS) this.swallow()
    this.#wakeAt = Math.max(this.#wakeAt, world.monotonicNow() + ms)
    world.after(ms, () => this.#wake())
  }

  /** The lid is closed while a publish is on its way. */
  closeLid(topic: string, afterMs: number, ms: number): void {
    const { world } = this.#parts
    this.publish(topic)
    this.#wakeAt = world.monotonicNow() + afterMs + ms
    world.after(afterMs, () => this.sleep(ms))
  }

  #wake(): void {
    this.runtime.wake()
    for (const wake of Array.from(this.#wakers)) wake()
  }

  #listen(topic: string, { told, options }: { told: Told[]; options: SubscribeOptions }): void {
    const { chance, ledger, fault } = this.#parts
    const subscription = this.client.subscribe(
      topic,
      ({ seq, epoch, id }) => {
        told.push({ seq, epoch, id })
        if (subscription.state === 'unsubscribed') fault(`[P2] ${id} came after unsubscribe()`)
        if (chance.strikes('listener')) mischief(this, listening, chance)
      },
      options,
    )
    const listening: Listening = { topic, told, subscription }
    subscription.on('gap', (gap) => {
      told.push({ gap, head: ledger.head(topic, gap.epoch) })
    })
    subscription.on('subscribed', ({ position }) => told.push({ live: position }))
    this.#watch(subscription.ready)
    this.listening.push(listening)
  }

  #open(
    handshake: ConstructorParameters<typeof MemoryWire>[0]['handshake'],
    listener: ConstructorParameters<typeof MemoryWire>[0]['listener'],
  ): MemoryWire {
    const { world, chance, server } = this.#parts
    const node = server()
    const wire = new MemoryWire({
      runtime: world,
      clientRuntime: this.runtime,
      chance,
      handshake,
      listener,
      server: () => node?.events ?? null,
      isPublishing: (id) => node?.isPublishing(id) ?? false,
      haunted: (report) => this.#haunted(report),
      sending: (event, data) => this.#sending(event, data),
      over: (ended) => void node?.wires.delete(ended),
    })
    node?.wires.add(wire)
    this.#wire = wire
    return wire
  }

  /** Nothing that a dropped link reports may change anything [C5]. */
  #haunted(report: () => void): void {
    const before = this.#looks()
    report()
    const after = this.#looks()
    if (before !== after) {
      this.#parts.fault(`[C5] ${this.name}: an old link made of ${before} ${after}`)
    }
  }

  #looks(): string {
    return JSON.stringify({ ...this.client.getStats(), wire: this.#wire?.connectionId })
  }

  #sending(event: string, data: Readonly<Record<string, unknown>>): void {
    const publish = event === 'publish' ? this.#byId.get(String(data['messageId'])) : undefined
    if (publish === undefined) return
    publish.sendings += 1
    if (publish.sendings > 1) this.#parts.chance.tally.add('sent again')
    if (publish.finals > 0) this.#parts.fault(`[P5] ${publish.id} was sent after it was settled`)
  }

  #watch(promise: Promise<void>): void {
    this.#promises += 1
    const settled = (): void => void (this.#promises -= 1)
    promise.then(settled, (error: unknown) => {
      settled()
      this.#known(error)
    })
  }

  #known(error: unknown): RealtimeError {
    if (error instanceof RealtimeError) return error
    this.#parts.fault(`${this.name} rejected with ${String(error)}`)
    return new RealtimeError('internal_error', String(error))
  }
}
