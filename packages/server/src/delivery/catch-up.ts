import type { Broker } from '../broker/broker.js'
import type { Channel } from '../hub/channel.js'
import type { Connection } from '../hub/connection.js'
import type { Subscription } from '../hub/subscription.js'
import type { Journal } from '../journal.js'
import type { Publication } from '../publication.js'
import type { FanOut } from './fan-out.js'
import { eventParcel } from './event-json.js'

/** Publications of one read. */
const PAGE_MESSAGES = 500
const PAGE_BYTES = 256 * 1_024

/**
 * Brings the subscribers of a channel up to date after announcements may have been lost: each gets
 * what follows its own position, in order, and nothing twice. What is announced meanwhile waits. What
 * is not retained any more shows to the client as a jump in `seq`, upon which it recovers by itself
 * and learns of the gap [P3].
 */
export async function catchUp(channel: Channel, sources: CatchUpSources): Promise<void> {
  if (channel.ephemeral) return
  const reading: Promise<void>[] = []
  for (const [connection, subscription] of channel.subscribers) {
    // Of those that join, what waits has a hole now: they page on.
    if (subscription.joining) subscription.overflow()
    else if (subscription.live) reading.push(readOn({ channel, connection, subscription }, sources))
  }
  await Promise.all(reading)
}

interface CatchUpSources {
  readonly broker: Broker
  readonly journal: Journal
  readonly fanOut: FanOut
}

interface Follower {
  readonly channel: Channel
  readonly connection: Connection
  readonly subscription: Subscription
}

async function readOn(
  follower: Follower,
  { broker, journal, fanOut }: CatchUpSources,
): Promise<void> {
  const { channel, connection, subscription } = follower
  fanOut.settle(channel, connection)
  // Too slow for that: it has been ended.
  if (connection.ended) return
  let position = subscription.position
  subscription.join()
  const { joins } = subscription
  // Left meanwhile, or subscribed anew: then it has been told where it stands.
  const superseded = (): boolean =>
    channel.subscribers.get(connection) !== subscription || subscription.joins !== joins
  const send = (publications: readonly Publication[]): void => {
    for (const publication of publications) {
      connection.outlet.push(eventParcel(publication, channel.conflates))
      journal.deliveredTotal += 1
      position = { epoch: publication.epoch, seq: publication.seq }
    }
  }
  try {
    for (let more = true; more; more ||= subscription.overflowed) {
      if (subscription.overflowed) subscription.restart()
      const query = { since: position, limit: PAGE_MESSAGES, maxBytes: PAGE_BYTES }
      const page = await broker.read(channel.topic, query)
      if (superseded()) return
      send(page.publications)
      more = page.more && page.publications.length > 0
    }
  } finally {
    // Also where reading failed: then the jump in `seq` is what tells the client.
    if (!superseded()) send(subscription.settle(position))
  }
}
