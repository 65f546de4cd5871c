import {
  RealtimeError,
  type Cancel,
  type Runtime,
  type Topic,
  type User,
} from '@bmt-central/realtime-protocol'
import type { ClientFacts } from '../auth/authenticate.js'
import type { Budgets } from '../limits/budgets.js'
import { newBucket, type TokenBucket } from '../limits/token-bucket.js'
import type { Limits } from '../limits/limits.js'
import { TopicQueue } from './topic-queue.js'
import { Outlet } from '../transport/outlet.js'
import { ackPacket, endingData, eventPacket, parcelOf } from '../transport/packets.js'
import type { Peer } from '../transport/peer.js'
import type { Turn } from '../transport/turn.js'
import type { Subscription } from './subscription.js'

/** What a connection needs from the service that it belongs to. */
export interface ConnectionWiring {
  readonly runtime: Runtime
  readonly limits: Limits
  readonly budgets: Budgets
  readonly turn: Turn
  /** It is about to end: what it is still to get must be in its outlet. */
  readonly ending: () => void
  /** The server has ended it: nothing of it may be left in the hub. */
  readonly ended: (connection: Connection, error: RealtimeError) => void
}

/** A request that waits for a place [L15]. */
export interface Job {
  readonly topics: readonly Topic[]
  /** Whether it occupies one of the places; `unsubscribe` does not, and keeps its order all the same. */
  readonly takesPlace: boolean
  /** Never throws, never rejects. */
  readonly run: () => void | Promise<void>
}

/** One authenticated Socket.IO connection: its user, subscriptions, budgets and outlet. */
export class Connection {
  readonly id: string
  readonly user: User
  readonly client: ClientFacts
  readonly peer: Peer
  readonly outlet: Outlet
  /** ms since the Unix epoch. */
  readonly connectedAt: number
  /** Of the last request, ms since the Unix epoch. */
  lastActivityAt: number
  /** Stops the timer that ends it with its token. */
  stopExpiry: Cancel | null = null
  readonly subscriptions: Map<Topic, Subscription> = new Map()
  readonly queue: TopicQueue = new TopicQueue()
  readonly publishBucket: TokenBucket
  readonly publishBytesBucket: TokenBucket
  readonly requestBucket: TokenBucket
  /** Requests that occupy a place of [L15], and those that wait for one. */
  requestsInProgress = 0
  readonly backlog: Job[] = []
  /** Whether what waits is being started at the moment: a loop, so that it needs no stack. */
  startingBacklog = false
  /** When malformed requests arrived, by the monotonic clock, within the last minute [W7]. */
  malformedAt: number[] = []
  #pageWaiters: (() => void)[] = []
  #pagesReading = 0
  #ended = false
  readonly #ending: ConnectionWiring['ending']
  readonly #reportEnd: ConnectionWiring['ended']

  constructor(
    facts: { user: User; client: ClientFacts; peer: Peer },
    { runtime, limits, budgets, turn, ending, ended }: ConnectionWiring,
  ) {
    this.id = facts.peer.connectionId
    this.#ending = ending
    this.#reportEnd = ended
    this.user = facts.user
    this.client = facts.client
    this.peer = facts.peer
    this.connectedAt = runtime.wallNow()
    this.lastActivityAt = this.connectedAt
    const now = runtime.monotonicNow()
    this.publishBucket = newBucket(budgets.publishes, now)
    this.publishBytesBucket = newBucket(budgets.publishBytes, now)
    this.requestBucket = newBucket(budgets.requests, now)
    this.outlet = new Outlet(facts.peer, {
      turn,
      hardMaxBytes: limits.hardMaxBufferedBytes,
      owner: {
        overflowed: () => this.end(tooSlow(limits.hardMaxBufferedBytes)),
        pageLeft: () => this.#pageLeft(),
      },
    })
  }

  /** Whether it is over: nothing is carried out or sent any more. */
  get ended(): boolean {
    return this.#ended
  }

  /** Answers a request; without an acknowledgement id the answer is dropped [W4]. */
  answer(ackId: number | null, json: string, page: boolean = false): void {
    if (ackId !== null) this.outlet.push(parcelOf(ackPacket(ackId, json), page))
  }

  /** Sends an event of the server's. */
  emit(event: string, data: object): void {
    this.outlet.push(parcelOf(eventPacket(event, JSON.stringify(data))))
  }

  /** Pages that are read, that wait in the outlet, and that wait for a place. */
  get pages(): number {
    return this.#pagesReading + this.outlet.pages + this.#pageWaiters.length
  }

  /**
   * A place for one page of publications: at most four of a connection are on their way at once
   * [L16]. Gives what frees the place again when the page has been handed to the outlet.
   */
  pagePlace(): (() => void) | Promise<() => void> {
    if (this.#pagesReading + this.outlet.pages < MAX_PAGES) return this.#takePage()
    return new Promise((resolve) => this.#pageWaiters.push(() => resolve(this.#takePage())))
  }

  /** Ends it: what waits leaves first where it is worth it, then `closing` [W25], then the wire. */
  end(error: RealtimeError): void {
    if (this.#ended) return
    this.#ended = true
    this.#ending()
    const last = parcelOf(eventPacket('closing', JSON.stringify(endingData(error))))
    // Whoever reads too slowly gets no more of what waits: it recovers by position.
    this.outlet.end(last, error.code !== 'slow_consumer')
    // Before the wire goes: its own report of the end would name no code.
    this.#reportEnd(this, error)
    this.peer.end(!error.retryable)
    this.#release()
  }

  /** The wire is gone. */
  gone(): void {
    this.#ended = true
    this.outlet.end(null, false)
    this.#release()
  }

  #release(): void {
    this.backlog.length = 0
    const waiters = this.#pageWaiters
    this.#pageWaiters = []
    for (const wake of waiters) wake()
  }

  #takePage(): () => void {
    this.#pagesReading += 1
    return () => {
      this.#pagesReading -= 1
      this.#pageLeft()
    }
  }

  #pageLeft(): void {
    while (this.#pageWaiters.length > 0 && this.#pagesReading + this.outlet.pages < MAX_PAGES) {
      this.#pageWaiters.shift()?.()
    }
  }
}

const MAX_PAGES = 4

/** The end of a reader that does not keep up [L8]. */
export function tooSlow(waitingBytes: number): RealtimeError {
  return new RealtimeError(
    'slow_consumer',
    `more than ${waitingBytes} bytes wait for this connection; it recovers when it comes back`,
  )
}
