import { RealtimeClient, type Subscription } from '@bmt-central/realtime'
import { RealtimeError, type Gap, type Runtime } from '@bmt-central/realtime-protocol'
import type { Chance } from './faults.js'
import type { Ledger } from './ledger.js'
import { LocalRuntime } from './local-runtime.js'
import { MemoryWire } from './memory-wire.js'
import type { ServerNode } from './server-node.js'
import { tokenOf } from './server-node.js'

/** What one listener was told, in order. */
export type Told =
  | { readonly seq: number; readonly epoch: string; readonly id: string }
  | {
      readonly gap: Gap
      /** The head of the gap's epoch when it was told. */
      readonly head: number
    }

export interface Listening {
  readonly topic: string
  readonly told: Told[]
  readonly subscription: Subscription
}

export interface Publishing {
  readonly id: string
  readonly topic: string
  readonly abort: AbortController
  result: 'pending' | { readonly epoch: string; readonly seq: number } | RealtimeError
  /** How often the outbox said that it was settled. */
  finals: number
}

export interface ClientPartsOfWorld {
  readonly name: string
  readonly userId: string
  readonly world: Runtime
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
export class SimulatedClient {
  readonly name: string
  readonly client: RealtimeClient
  readonly listening: Listening[] = []
  readonly publishing: Publishing[] = []
  readonly runtime: LocalRuntime
  readonly #parts: ClientPartsOfWorld
  readonly #byId = new Map<string, Publishing>()
  readonly #wakers = new Set<() => void>()
  #wire: MemoryWire | null = null

  constructor(parts: ClientPartsOfWorld) {
    const { world, chance, userId } = parts
    this.#parts = parts
    this.name = parts.name
    this.runtime = new LocalRuntime(world)
    const auth = (): string => {
      const lifeMs = chance.hits('tokenExpiry') ? SHORT_TOKEN_LIFE_MS : TOKEN_LIFE_MS
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

  get wakers(): number {
    return this.#wakers.size
  }

  connect(): void {
    this.client.connect().catch((error: unknown) => this.#known(error))
  }

  listen(topic: string, rewind: number): void {
    const told: Told[] = []
    const subscription = this.client.subscribe(
      topic,
      ({ seq, epoch, id }) => {
        told.push({ seq, epoch, id })
        if (this.#parts.chance.hits('listener')) this.#misbehave(topic)
      },
      rewind > 0 ? { rewind } : {},
    )
    subscription.on('gap', (gap) => {
      told.push({ gap, head: this.#parts.ledger.head(topic, gap.epoch) })
    })
    this.listening.push({ topic, told, subscription })
  }

  publish(topic: string): void {
    const id = `${this.name}-${this.publishing.length}`
    const abort = new AbortController()
    const publish: Publishing = { id, topic, abort, result: 'pending', finals: 0 }
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
    this.runtime.sleep()
    if (ms > PING_TIMEOUT_MS) this.swallow()
    this.#parts.world.after(ms, () => this.wake())
  }

  wake(): void {
    if (!this.runtime.asleep) return
    this.runtime.wake()
    for (const wake of Array.from(this.#wakers)) wake()
  }

  /** What applications do within a listener. */
  #misbehave(topic: string): void {
    switch (this.#parts.chance.below(4)) {
      case 0:
        throw new Error('a listener of the simulation throws')
      case 1:
        this.client.disconnect()
        return this.connect()
      case 2:
        return this.listen(topic, 0)
      default:
        return this.publish(topic)
    }
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
      sending: (event, data) => this.#sending(event, data),
      over: (ended) => void node?.wires.delete(ended),
    })
    node?.wires.add(wire)
    this.#wire = wire
    return wire
  }

  #sending(event: string, data: Readonly<Record<string, unknown>>): void {
    const publish = event === 'publish' ? this.#byId.get(String(data['messageId'])) : undefined
    if (publish !== undefined && publish.finals > 0) {
      this.#parts.fault(`[P5] ${publish.id} was sent after it was settled`)
    }
  }

  #known(error: unknown): RealtimeError {
    if (error instanceof RealtimeError) return error
    this.#parts.fault(`${this.name} rejected with ${String(error)}`)
    return new RealtimeError('internal_error', String(error))
  }
}
