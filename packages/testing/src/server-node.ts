import type { Server as HttpServer } from 'node:http'
import { RealtimeError, type Runtime, type User } from '@bmt-central/realtime-protocol'
import { MemoryBroker, RealtimeService } from '@bmt-central/realtime-server'
import type { Publication } from '@bmt-central/realtime-server/broker'
import type { Transport, TransportEvents } from '@bmt-central/realtime-server/testing'
import type { Chance } from './faults.js'
import { FaultyBroker } from './faulty-broker.js'
import { LocalRuntime } from './local-runtime.js'
import type { MemoryWire } from './memory-wire.js'

/** Small enough that pages, gaps and refusals are met within seconds. */
/** Publications of a stream that stay. */
export const RETAINED = 30

const LIMITS = {
  maxMessageHistory: RETAINED,
  maxPageMessages: 5,
  publishesPerSecond: 30,
  publishBurst: 40,
  maxRequestsInProgress: 8,
}

/** How long what the server ends may take, as in the transport over Socket.IO. */
const END_WITHIN_MS = 1_000

export interface ServerParts {
  readonly world: Runtime
  readonly chance: Chance
  readonly appended: (publication: Publication) => void
  readonly failed: (error: unknown, where: string) => void
}

/** One life of a server, from its start to its end or its crash. */
export class ServerNode {
  readonly service: RealtimeService
  readonly wires: Set<MemoryWire> = new Set()
  readonly #runtime: LocalRuntime
  readonly #parts: ServerParts
  #events: TransportEvents | null = null

  constructor(parts: ServerParts) {
    const { world, chance, appended } = parts
    this.#parts = parts
    this.#runtime = new LocalRuntime(world)
    const runtime = this.#runtime
    this.service = new RealtimeService(
      {
        authenticate: ({ token }) => userOf(token),
        broker: new FaultyBroker(new MemoryBroker(), { runtime, chance, appended }),
        limits: LIMITS,
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

  start(): Promise<void> {
    // There is no HTTP below this transport.
    return this.service.attach({} as HttpServer)
  }

  /** The process dies: nothing of it runs any more, and nobody is told. */
  crash(): void {
    this.#events = null
    this.#runtime.die()
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
