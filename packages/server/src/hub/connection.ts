import { RealtimeError, type Runtime, type Topic, type User } from '@bmt-central/realtime-protocol'
import type { ClientFacts } from '../auth/authenticate.js'
import type { Budgets } from '../limits/budgets.js'
import { newBucket, type TokenBucket } from '../limits/token-bucket.js'
import type { Limits } from '../limits/limits.js'
import { TopicQueue } from './topic-queue.js'
import { Outlet, type OutletOwner } from '../transport/outlet.js'
import { ackPacket, endingData, eventPacket, parcelOf } from '../transport/packets.js'
import type { Peer } from '../transport/peer.js'
import type { Turn } from '../transport/turn.js'
import type { Subscription } from './subscription.js'

/** What connections need of the service that they belong to: one object for all of them. */
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
export class Connection implements OutletOwner {
  readonly id: string
  readonly user: User
  readonly client: ClientFacts
  readonly peer: Peer
  readonly outlet: Outlet
  /** ms since the Unix epoch. */
  readonly connectedAt: number
  /** Of the last request, ms since the Unix epoch. */
  lastActivityAt: number
  /** Kept by `Expiries`. */
  expiryIndex = -1
  readonly subscriptions: Map<Topic, Subscription> = new Map()
  readonly queue: TopicQueue = new TopicQueue()
  /** Requests that occupy a place of [L15], and those that wait for one. */
  requestsInProgress = 0
  readonly backlog: Job[] = []
  /** Whether what waits is being started at the moment: a loop, so that it needs no stack. */
  startingBacklog = false
  /** When malformed requests arrived, by the monotonic clock, within the last minute [W7]. */
  malformedAt: readonly number[] = NEVER
  #publishBucket: TokenBucket | null = null
  #publishBytesBucket: TokenBucket | null = null
  #requestBucket: TokenBucket | null = null
  #pageWaiters: (() => void)[] = []
  #pagesReading = 0
  #ended = false
  readonly #wiring: ConnectionWiring

  constructor(facts: { user: User; client: ClientFacts; peer: Peer }, wiring: ConnectionWiring) {
    this.id = facts.peer.connectionId
    this.#wiring = wiring
    this.user = facts.user
    this.client = facts.client
    this.peer = facts.peer
    this.connectedAt = wiring.runtime.wallNow()
    this.lastActivityAt = this.connectedAt
    this.outlet = new Outlet(facts.peer, {
      turn: wiring.turn,
      hardMaxBytes: wiring.limits.hardMaxBufferedBytes,
      owner: this,
    })
  }

  /** Full where nothing was taken from it: made when something is, as the other two. */
  get publishBucket(): TokenBucket {
    return (this.#publishBucket ??= this.#bucket('publishes'))
  }

  get publishBytesBucket(): TokenBucket {
    return (this.#publishBytesBucket ??= this.#bucket('publishBytes'))
  }

  get requestBucket(): TokenBucket {
    return (this.#requestBucket ??= this.#bucket('requests'))
  }

  /** When its token expires, ms since the Unix epoch; `Infinity`: never. */
  get expiresAt(): number {
    return this.user.expiresAt ?? Infinity
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
    this.#wiring.ending()
    const last = parcelOf(eventPacket('closing', JSON.stringify(endingData(error))))
    // Whoever reads too slowly gets no more of what waits: it recovers by position.
    this.outlet.end(last, error.code !== 'slow_consumer')
    // Before the wire goes: its own report of the end would name no code.
    this.#wiring.ended(this, error)
    this.peer.end(!error.retryable)
    this.#release()
  }

  /** The wire is gone. */
  gone(): void {
    this.#ended = true
    this.outlet.end(null, false)
    this.#release()
  }

  /** Of its outlet. */
  overflowed(): void {
    this.end(tooSlow(this.#wiring.limits.hardMaxBufferedBytes))
  }

  /** Of its outlet. */
  pageLeft(): void {
    while (this.#pageWaiters.length > 0 && this.#pagesReading + this.outlet.pages < MAX_PAGES) {
      this.#pageWaiters.shift()?.()
    }
  }

  #bucket(budget: keyof Budgets): TokenBucket {
    const { budgets, runtime } = this.#wiring
    return newBucket(budgets[budget], runtime.monotonicNow())
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
      this.pageLeft()
    }
  }
}

const MAX_PAGES = 4
const NEVER: readonly number[] = []

/** The end of a reader that does not keep up [L8]. */
export function tooSlow(waitingBytes: number): RealtimeError {
  return new RealtimeError(
    'slow_consumer',
    `more than ${waitingBytes} bytes wait for this connection; it recovers when it comes back`,
  )
}
