import type { Server as HttpServer } from 'node:http'
import { RealtimeError, type Runtime, type User } from '@bmt-central/realtime-protocol'
import {
  MemoryBroker,
  RealtimeService,
  type RealtimeServiceOptions,
} from '@bmt-central/realtime-server'
import type { Publication } from '@bmt-central/realtime-server/broker'
import type { Transport, TransportEvents } from '@bmt-central/realtime-server/testing'
import { DurableBroker, type Disk } from './durable-broker.js'
import type { DurableStore } from './durable-store.js'
import type { Chance } from './faults.js'
import { FaultyBroker } from './faulty-broker.js'
import { LocalRuntime } from './local-runtime.js'
import type { MemoryWire } from './memory-wire.js'

/** Publications of a stream that stay. */
export const RETAINED = 30

/** Small enough that pages, gaps and refusals are met within seconds. */
export type Limits = NonNullable<RealtimeServiceOptions['limits']>

const LIMITS: Limits = {
  maxMessageHistory: RETAINED,
  maxPageMessages: 5,
  publishesPerSecond: 30,
  publishBurst: 40,
  maxRequestsInProgress: 8,
}

/** ms of a durable broker's transaction, at most. */
const COMMIT_MS = 60

/** How long what the server ends may take, as in the transport over Socket.IO. */
const END_WITHIN_MS = 1_000

export interface ServerParts {
  readonly world: Runtime
  readonly chance: Chance
  readonly limits: Partial<Limits>
  /** Where its broker's state outlives it; null: in its memory. */
  readonly store: DurableStore | null
  /** Sees whatever a broker in memory appends. */
  readonly appended: (publication: Publication) => void
  readonly failed: (error: unknown, where: string) => void
}

/** One life of a server, from its start to its end or its crash. */
export class ServerNode {
  readonly service: RealtimeService
  readonly wires: Set<MemoryWire> = new Set()
  readonly #runtime: LocalRuntime
  readonly #parts: ServerParts
  readonly #durable: DurableBroker | null
  readonly #broker: FaultyBroker
  #events: TransportEvents | null = null
  #jumped = false

  constructor(parts: ServerParts) {
    const { world, chance, appended, store, limits } = parts
    this.#parts = parts
    this.#runtime = new LocalRuntime(world)
    const runtime = this.#runtime
    this.#durable = store && new DurableBroker(store, diskOf(chance))
    this.#broker =
      this.#durable === null
        ? new FaultyBroker(new MemoryBroker(), { runtime, chance, appended })
        : new FaultyBroker(this.#durable, { runtime, chance })
    this.service = new RealtimeService(
      {
        authenticate: ({ token }) => userOf(token),
        broker: this.#broker,
        limits: { ...LIMITS, ...limits },
        runtime,
      },
      {
        createTransport: (_, events) => {
          this.#events = events
          return this.#transport()
        },
      },
    )
    this.service.on('error', ({ error, where }) => parts.failed(error, where))
  }

  /** What wires are told of; null before it serves. */
  get events(): TransportEvents | null {
    return this.#events
  }

  /** With a durable broker: once the server before has let go of its directory. */
  start(): Promise<void> {
    // There is no HTTP below this transport.
    return this.service.attach({} as HttpServer)
  }

  /** Whether a publish with this id is being carried out. */
  isPublishing(id: string): boolean {
    return this.#broker.inProgress(id)
  }

  /**
   * Its wall clock is set forwards, once: further ahead than tokens live, it would rightly admit
   * nobody any more.
   */
  jump(ms: number): void {
    if (this.#jumped) return
    this.#jumped = true
    this.#runtime.jump(ms)
  }

  /** The process dies: nothing of it runs any more, and nobody is told. */
  crash(): void {
    this.#events = null
    this.#runtime.die()
    this.#durable?.crash()
    for (const wire of Array.from(this.wires)) wire.crash()
  }

  #transport(): Transport {
    return {
      get io(): Transport['io'] {
        throw new Error('there is no Socket.IO in a simulated world')
      },
      sessions: {
        attach: () => undefined,
        close: () =>
          new Promise<void>((resolve) => {
            this.#parts.world.after(END_WITHIN_MS, () => {
              for (const wire of Array.from(this.wires)) wire.cut()
              resolve()
            })
          }),
      },
    }
  }
}

function diskOf(chance: Chance): Disk {
  return {
    commitMs: () => 1 + chance.below(COMMIT_MS),
    fails: () => chance.strikes('commitError'),
    landed: () => chance.random() < 0.5,
  }
}

/** A token is `user expiresAt`. */
export function tokenOf(userId: string, expiresAt: number): string {
  return `${userId} ${expiresAt}`
}

function userOf(token: string | null): User {
  const [userId, expiresAt] = (token ?? '').split(' ')
  if (userId === undefined || userId === '') {
    throw new RealtimeError('unauthenticated', 'there is no token')
  }
  return { userId, role: 'user', permissions: [], expiresAt: Number(expiresAt) }
}
