import { RealtimeError } from '@bmt-central/realtime-protocol'
import {
  seededRandom,
  virtualRuntime,
  type VirtualRuntime,
} from '@bmt-central/realtime-protocol/testing'
import { violations } from './checks.js'
import { ALL_FAULTS, Chance, NO_FAULTS, type Faults } from './faults.js'
import { Ledger } from './ledger.js'
import { makeOperations, type Operation } from './operations.js'
import { ServerNode } from './server-node.js'
import { SimulatedClient } from './simulated-client.js'

export interface SimulateOptions {
  readonly seed: number
  /** Default 3: two of one user, one of another. */
  readonly clients?: number
  /** Instead of all of them. */
  readonly faults?: Partial<Faults>
}

const TOPICS = ['public:a', 'public:b'] as const
/** Longer than any deadline, wait and backoff of both sides together. */
const CALM_MS = 240_000
/** Longer than a late close, the life of an empty channel and the sweep that ends it together. */
const AFTER_CLOSE_MS = 180_000

/** A world: real clients, a real server, a faulty wire between them, one clock. */
export class World {
  readonly runtime: VirtualRuntime
  readonly clients: readonly SimulatedClient[]
  readonly ledger: Ledger = new Ledger()
  readonly #seed: number
  readonly #chance: Chance
  readonly #faults: Faults
  readonly #found: string[] = []
  #node: ServerNode | null = null
  readonly #retired: Promise<void>[] = []
  #announced = 0

  constructor({ seed, clients = 3, faults = ALL_FAULTS }: SimulateOptions) {
    this.#seed = seed
    this.#faults = { ...NO_FAULTS, ...faults }
    this.runtime = virtualRuntime({ seed: seed * 3 + 1 })
    this.#chance = new Chance(seededRandom(seed * 3 + 2), this.#faults)
    this.clients = Array.from(
      { length: clients },
      (_, index) =>
        new SimulatedClient({
          name: `c${index}`,
          userId: `user-${index >> 1}`,
          world: this.runtime,
          chance: this.#chance,
          server: () => this.#node,
          fault: (what) => void this.#found.push(what),
          ledger: this.ledger,
        }),
    )
  }

  /**
   * Carries out operations (made of the seed, unless they are given), lets calm return, ends
   * everything, and gives what was wrong.
   */
  async run(what: { operations: number } | readonly Operation[]): Promise<string[]> {
    const operations =
      'operations' in what
        ? makeOperations(this.#seed, {
            count: what.operations,
            clients: this.clients.length,
            topics: TOPICS.length,
          })
        : what
    await this.#serve()
    for (const client of this.clients) {
      client.connect()
      for (const topic of TOPICS) client.listen(topic, 0)
    }
    for (const operation of operations) await this.#carryOut(operation)
    await this.#calm()
    this.#found.push(...violations(this.clients, this.ledger))
    await this.#end()
    return this.#found
  }

  async #carryOut(operation: Operation): Promise<void> {
    if ('client' in operation) {
      const client = this.clients[operation.client]
      if (client !== undefined) this.#act(client, operation)
      return
    }
    switch (operation.kind) {
      case 'advance':
        return this.runtime.advance(operation.ms)
      case 'crash':
        return this.#crash(operation.ms)
      case 'replace':
        return this.#replace()
      case 'announce':
        for (let n = 0; n < operation.count; n += 1) this.#announce(topicOf(operation.topic))
    }
  }

  #act(client: SimulatedClient, operation: Extract<Operation, { client: number }>): void {
    switch (operation.kind) {
      case 'publish':
        for (let n = 0; n < operation.count; n += 1) client.publish(topicOf(operation.topic))
        return
      case 'join':
        return client.listen(topicOf(operation.topic), operation.rewind)
      case 'leave':
        return client.listening[operation.index]?.subscription.unsubscribe()
      case 'abort':
        return client.publishing.at(-1 - operation.index)?.abort.abort()
      case 'sleep':
        return client.sleep(operation.ms)
      case 'jump':
        return client.runtime.jump(operation.ms)
      case 'disconnect':
        return client.client.disconnect()
      case 'cut':
      case 'swallow':
      case 'connect':
        return client[operation.kind]()
    }
  }

  #announce(topic: string): void {
    const id = `server-${(this.#announced += 1)}`
    // Refusals of a broker that fails, or of a server that ends, are expected.
    this.#node?.service.publish(topic, { id }, { id }).catch(() => undefined)
  }

  async #serve(): Promise<void> {
    const node = new ServerNode({
      world: this.runtime,
      chance: this.#chance,
      appended: (publication) => this.ledger.append(publication),
      failed: (error, where) => {
        // That the broker refused is a fault of the world; anything else is one of the server's.
        if (!(error instanceof RealtimeError)) {
          this.#found.push(`[P7] ${where} failed: ${String(error)}`)
        }
      },
    })
    await node.start()
    this.#node = node
  }

  async #crash(downMs: number): Promise<void> {
    this.#node?.crash()
    this.#node = null
    await this.runtime.advance(downMs)
    await this.#serve()
  }

  /** The old one still closes while the new one serves. */
  async #replace(): Promise<void> {
    const old = this.#node
    await this.#serve()
    if (old !== null) this.#retired.push(old.service.close())
  }

  async #calm(): Promise<void> {
    this.#chance.faults = NO_FAULTS
    for (const client of this.clients) {
      client.wake()
      client.connect()
    }
    await this.runtime.advance(CALM_MS)
    for (const topic of TOPICS) this.#announce(topic)
    await this.runtime.advance(10_000)
  }

  async #end(): Promise<void> {
    for (const { name, client } of this.clients) {
      const { queueSize, queueBytes, bounds } = client.getStats()
      if (queueSize + queueBytes > 0) this.#found.push(`[P5] ${name}: the outbox is not empty`)
      for (const [what, { used, cap }] of Object.entries(bounds)) {
        if (used > cap) this.#found.push(`[P7] ${name}: ${what} holds ${used} of ${cap}`)
      }
      await client.close()
    }
    await this.runtime.advance(AFTER_CLOSE_MS)
    const server = this.#node?.service
    const bounds = server?.getStats().bounds ?? {}
    for (const what of [
      'connections',
      'topics',
      'subscriptions',
      'waitingBytes',
      'waitingRequests',
      'publishesInProgress',
    ]) {
      const used = bounds[what]?.used ?? 0
      if (used > 0) this.#found.push(`[P7] the server keeps ${used} ${what}`)
    }
    this.#retired.push(server?.close() ?? Promise.resolve())
    await this.runtime.advance(AFTER_CLOSE_MS)
    await Promise.all(this.#retired)
    const { pendingTimers } = this.runtime
    if (pendingTimers > 0) this.#found.push(`[P7] ${pendingTimers} timers are left`)
    for (const { name, wakers } of this.clients) {
      if (wakers > 0) this.#found.push(`[P7] ${name}: ${wakers} listeners are left`)
    }
  }
}

function topicOf(index: number): string {
  return TOPICS[index] ?? TOPICS[0]
}

/** A world of its own for each seed; the same seed does the same again. */
export function simulate(options: SimulateOptions): World {
  return new World(options)
}
