import { RealtimeError } from '@bmt-central/realtime-protocol'
import {
  seededRandom,
  virtualRuntime,
  type VirtualRuntime,
} from '@bmt-central/realtime-protocol/testing'
import { violations } from './checks.js'
import { DurableStore } from './durable-store.js'
import { ALL_FAULTS, Chance, NO_FAULTS, type Faults } from './faults.js'
import { Ledger } from './ledger.js'
import { makeOperations, type Operation } from './operations.js'
import { checkRetained, readRetained } from './retained.js'
import { ServerNode, type Limits } from './server-node.js'
import { SimulatedClient } from './simulated-client.js'
import type { Tally } from './tally.js'

export interface SimulateOptions {
  readonly seed: number
  /** Default 3: two of one user, one of another. */
  readonly clients?: number
  /** Instead of all of them. */
  readonly faults?: Partial<Faults>
  /** Whether the broker's state survives a crash of the server. Default: with two seeds of three. */
  readonly durable?: boolean
  /** Of the server, instead of those of the simulation. */
  readonly limits?: Partial<Limits>
}

const TOPICS = ['public:a', 'public:b'] as const
/** Longer than any deadline, wait and backoff of both sides together. */
const CALM_MS = 240_000
/** Longer than reading all that is retained takes over a slow link. */
const READING_MS = 120_000
/** Longer than a late close, the life of an empty channel and the sweep that ends it together. */
const AFTER_CLOSE_MS = 180_000

/** A world: real clients, a real server, a faulty wire between them, one clock. */
export class World {
  readonly runtime: VirtualRuntime
  readonly clients: readonly SimulatedClient[]
  readonly ledger: Ledger = new Ledger()
  readonly #seed: number
  readonly #chance: Chance
  readonly #store: DurableStore | null
  readonly #limits: Partial<Limits>
  readonly #found = new Set<string>()
  #node: ServerNode | null = null
  readonly #retired: Promise<void>[] = []
  #announced = 0
  #servers = 0

  constructor(options: SimulateOptions) {
    const { seed, clients = 3, faults = ALL_FAULTS, durable, limits = {} } = options
    this.#limits = limits
    this.#seed = seed
    this.runtime = virtualRuntime({ seed: seed * 3 + 1 })
    this.#chance = new Chance(seededRandom(seed * 3 + 2), { ...NO_FAULTS, ...faults })
    this.#store = (durable ?? seed % 3 > 0) ? this.#newStore() : null
    this.clients = Array.from(
      { length: clients },
      (_, index) =>
        new SimulatedClient({
          name: `c${index}`,
          userId: `user-${index >> 1}`,
          sleepKind: ((seed >> 1) + index) % 2 === 0 ? 'late' : 'frozen',
          world: this.runtime,
          chance: this.#chance,
          server: () => this.#node,
          fault: (what) => void this.#found.add(what),
          ledger: this.ledger,
        }),
    )
  }

  /** How often each fault struck, and what came of them. */
  get tally(): Tally {
    return this.#chance.tally
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
    for (const operation of operations) {
      await this.#carryOut(operation)
      if (operation.kind === 'advance') this.#checkBounds()
    }
    await this.#calm()
    await this.#check()
    await this.#end()
    this.#count()
    return Array.from(this.#found)
  }

  async #carryOut(operation: Operation): Promise<void> {
    if ('client' in operation) {
      const client = this.clients[operation.client]
      // Nobody does anything on a machine that sleeps.
      if (client !== undefined && !client.runtime.asleep) this.#act(client, operation)
      return
    }
    switch (operation.kind) {
      case 'advance':
        return this.runtime.advance(operation.ms)
      case 'crash':
        this.tally.add('crash')
        return this.#crash(operation.ms)
      case 'replace':
        this.tally.add('replace')
        return this.#replace()
      case 'leap':
        this.tally.add('clock jump')
        return this.#node?.jump(operation.ms)
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
        this.tally.add('sleep')
        return client.sleep(operation.ms)
      case 'lid':
        this.tally.add('sleep')
        return client.closeLid(topicOf(operation.topic), operation.afterMs, operation.ms)
      case 'jump':
        this.tally.add('clock jump')
        return client.runtime.jump(operation.ms)
      case 'disconnect':
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

  #newStore(): DurableStore {
    return new DurableStore({
      runtime: this.runtime,
      appended: (publication) => this.ledger.append(publication, 0),
    })
  }

  /** With a durable broker it serves once the one before has let go. */
  async #serve(): Promise<void> {
    const broker = (this.#servers += 1)
    const node = new ServerNode({
      world: this.runtime,
      chance: this.#chance,
      store: this.#store,
      limits: this.#limits,
      appended: (publication) => this.ledger.append(publication, broker),
      failed: (error, where) => this.#failed(error, where),
    })
    this.#node = node
    node.start().catch((error: unknown) => this.#failed(error, 'the start'))
    await this.runtime.settle()
  }

  /** That the broker refused is a fault of the world; anything else is one of the server's. */
  #failed(error: unknown, where: string): void {
    if (!(error instanceof RealtimeError)) this.#found.add(`[P7] ${where} failed: ${String(error)}`)
  }

  async #crash(downMs: number): Promise<void> {
    this.#node?.crash()
    this.#node = null
    await this.runtime.advance(downMs)
    await this.#serve()
  }

  /** The old one still closes while the new one serves, or waits for what only one can have. */
  async #replace(): Promise<void> {
    const old = this.#node
    await this.#serve()
    if (old !== null) this.#retired.push(old.service.close())
  }

  async #calm(): Promise<void> {
    this.#chance.faults = NO_FAULTS
    const wakeAt = Math.max(...this.clients.map((client) => client.wakeAt))
    await this.runtime.advance(Math.max(1_000, wakeAt - this.runtime.monotonicNow()))
    for (const client of this.clients) client.connect()
    await this.runtime.advance(CALM_MS)
    for (const topic of TOPICS) this.#announce(topic)
    await this.runtime.advance(10_000)
  }

  async #check(): Promise<void> {
    for (const violation of violations(this.clients, this.ledger)) this.#found.add(violation)
    const [reader] = this.clients
    for (const topic of reader === undefined ? [] : TOPICS) {
      const page = await this.#meanwhile(() => readRetained(reader as SimulatedClient, topic))
      for (const what of checkRetained(topic, page, this.ledger)) this.#found.add(what)
      const epochs = new Set(this.ledger.of(topic).map(({ epoch }) => epoch))
      if (this.#store !== null && epochs.size > 1) {
        this.#found.add(`[P6] ${topic}: a durable broker began ${epochs.size} epochs`)
      }
    }
  }

  /** Lets time pass until it has succeeded, tried again where it fails; null where it takes too long. */
  async #meanwhile<T>(work: () => Promise<T>): Promise<T | null> {
    const results: T[] = []
    const begin = (): void => {
      // A connection may end with its token in the middle of it.
      work().then(
        (value) => void results.push(value),
        () => this.runtime.after(1_000, begin),
      )
    }
    begin()
    for (let waited = 0; results.length === 0 && waited < READING_MS; waited += 500) {
      await this.runtime.advance(500)
    }
    return results[0] ?? null
  }

  #checkBounds(): void {
    const all = [
      ...this.clients.map(({ name, client }) => ({ name, bounds: client.getStats().bounds })),
      { name: 'the server', bounds: this.#node?.service.getStats().bounds ?? {} },
    ]
    for (const { name, bounds } of all) {
      for (const [what, { used, cap }] of Object.entries(bounds)) {
        // Its cap counts connections only; the server's own publishes have a bound in bytes.
        if (what === 'publishesInProgress') continue
        if (used > cap) this.#found.add(`[P7] ${name}: ${what} holds ${used} of ${cap}`)
      }
    }
  }

  async #end(): Promise<void> {
    for (const { name, client } of this.clients) {
      const { queueSize, queueBytes } = client.getStats()
      if (queueSize + queueBytes > 0) this.#found.add(`[P5] ${name}: the outbox is not empty`)
      await client.close()
    }
    await this.runtime.advance(AFTER_CLOSE_MS)
    const server = this.#node?.service
    const bounds = server?.getStats().bounds ?? {}
    for (const what of EMPTY_AT_THE_END) {
      const used = bounds[what]?.used ?? 0
      if (used > 0) this.#found.add(`[P7] the server keeps ${used} ${what}`)
    }
    this.#retired.push(server?.close() ?? Promise.resolve())
    await this.runtime.advance(AFTER_CLOSE_MS)
    await Promise.all(this.#retired)
    await this.#store?.close()
    const { pendingTimers } = this.runtime
    if (pendingTimers > 0) this.#found.add(`[P7] ${pendingTimers} timers are left`)
    for (const { name, remains } of this.clients) {
      for (const what of remains) this.#found.add(`[P7] ${name}: ${what}`)
    }
  }

  #count(): void {
    for (const { publishing, listening } of this.clients) {
      for (const { result } of publishing) {
        if (result === 'pending') continue
        const unknown = 'code' in result && result.details?.['outcome'] === 'unknown'
        const refused = unknown ? 'publishes with outcome unknown' : 'publishes rejected'
        this.tally.add('code' in result ? refused : 'publishes acknowledged')
      }
      for (const { told } of listening) {
        this.tally.add('messages heard', told.filter((one) => 'id' in one).length)
        this.tally.add('gaps heard', told.filter((one) => 'gap' in one).length)
      }
    }
  }
}

const EMPTY_AT_THE_END = [
  'connections',
  'connectionsOpening',
  'topics',
  'subscriptions',
  'waitingBytes',
  'waitingRequests',
  'requestsInProgress',
  'publishesInProgress',
  'pages',
  'ownPublishBytes',
  'slowReaders',
]

function topicOf(index: number): string {
  return TOPICS[index] ?? TOPICS[0]
}

/** A world of its own for each seed; the same seed does the same again. */
export function simulate(options: SimulateOptions): World {
  return new World(options)
}
