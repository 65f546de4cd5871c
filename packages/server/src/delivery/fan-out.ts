import type { Channel } from '../hub/channel.js'
import type { Connection } from '../hub/connection.js'
import type { Hub } from '../hub/hub.js'
import type { Subscription } from '../hub/subscription.js'
import type { Journal } from '../journal.js'
import type { Publication } from '../publication.js'
import { Bundle } from '../transport/bundle.js'
import type { Turn } from '../transport/turn.js'
import { eventParcel } from './event-json.js'

/** What may wait for the end of a turn; beyond it is spread at once. */
const MAX_WAITING_BYTES = 4 * 1_024 * 1_024
/** What a publication takes besides its payload. */
const PUBLICATION_OVERHEAD_BYTES = 256

/**
 * Brings publications to the subscribers of this server. A publication costs the same whatever the
 * number of subscribers: it is noted in its channel, and at the end of the turn all that arose there
 * is encoded once and handed to each subscriber as one bundle.
 *
 * Order: a subscriber gets a channel's publications in `seq` order. Between a connection's answers
 * and messages of one turn there is none, so whoever answers something that no message of the turn
 * may follow or precede ([W10], [W11]) calls `settle` first.
 */
export class FanOut {
  readonly #hub: Hub
  readonly #journal: Journal
  readonly #turn: Turn
  readonly #waiting = new Set<Channel>()
  #waitingBytes = 0
  #spreading = false

  constructor({ hub, journal, turn }: { hub: Hub; journal: Journal; turn: Turn }) {
    this.#hub = hub
    this.#journal = journal
    this.#turn = turn
  }

  /** Called by the broker, in `seq` order for each topic. */
  publication(publication: Publication): void {
    const channel = this.#hub.channels.get(publication.topic)
    if (channel === undefined || channel.subscribers.size === 0) return
    for (const subscription of channel.joining) subscription.wait(publication)
    channel.announced += 1
    if (channel.waiting.length === 0 && this.#waiting.add(channel).size === 1) {
      this.#turn.before(() => this.spread())
    }
    channel.waiting.push(publication)
    this.#waitingBytes += publication.payloadBytes + PUBLICATION_OVERHEAD_BYTES
    if (this.#waitingBytes > MAX_WAITING_BYTES) this.spread()
  }

  /** All that a subscriber is to get of its channel up to now is in its outlet, in order with what comes next. */
  settle(channel: Channel, connection: Connection): void {
    const subscription = channel.subscribers.get(connection)
    if (subscription?.live === true) this.#pass(waitingOf(channel), connection, subscription)
    connection.outlet.settle()
  }

  /** All that arose up to now is in the outlets of its subscribers. */
  spread(): void {
    // Within: a reader is ended, and somebody publishes for it. Those who are still to be served get
    // that after what they wait for; it leaves with the next turn.
    if (this.#spreading) return
    this.#spreading = true
    const channels = Array.from(this.#waiting)
    this.#waiting.clear()
    this.#waitingBytes = 0
    try {
      for (const channel of channels) this.#spreadChannel(channel)
    } finally {
      this.#spreading = false
    }
  }

  #spreadChannel(channel: Channel): void {
    const waiting = waitingOf(channel)
    channel.waiting = []
    for (const [connection, subscription] of channel.subscribers) {
      if (subscription.live) this.#pass(waiting, connection, subscription)
    }
  }

  #pass(
    { publications, before, bundle }: Waiting,
    connection: Connection,
    subscription: Subscription,
  ): void {
    const from = subscription.pass(publications, before)
    if (from >= publications.length) return
    this.#journal.deliveredTotal += publications.length - from
    try {
      connection.outlet.add(bundle().from(from))
    } catch (error) {
      // It may end the connection, whose end others listen to: the rest gets what it is owed [P7].
      this.#journal.failed(error, `delivering to ${connection.id}`)
    }
  }
}

/** What arose in a channel since the last turn. */
interface Waiting {
  readonly publications: readonly Publication[]
  /** Announcements of the channel before these. */
  readonly before: number
  /** Made only where somebody listens. */
  readonly bundle: () => Bundle
}

function waitingOf({ waiting, announced, conflates }: Channel): Waiting {
  let made: Bundle | null = null
  const make = (): Bundle =>
    Bundle.of(waiting.map((publication) => eventParcel(publication, conflates)))
  const bundle = (): Bundle => (made ??= make())
  return { publications: waiting, before: announced - waiting.length, bundle }
}
