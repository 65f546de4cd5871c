import type { Broker } from '../broker/broker.js'
import type { Channel } from '../hub/channel.js'
import type { Connection } from '../hub/connection.js'
import type { Journal } from '../journal.js'
import { eventParcel } from './event-json.js'

/** Publications of one read. */
const PAGE_MESSAGES = 500
const PAGE_BYTES = 256 * 1_024

/**
 * Brings the subscribers of a channel up to date after announcements may have been lost: each gets
 * what follows its own position, in order, and nothing twice. What is not retained any more shows to
 * the client as a jump in `seq`, upon which it recovers by itself and learns of the gap [P3].
 */
export async function catchUp(
  channel: Channel,
  { broker, journal }: { readonly broker: Broker; readonly journal: Journal },
): Promise<void> {
  const behind = new Map<Connection, { epoch: string; seq: number }>()
  for (const [connection, subscription] of channel.subscribers) {
    if (subscription.live) behind.set(connection, subscription.position)
  }
  for (const [connection, position] of behind) {
    let since = position
    for (;;) {
      const page = await broker.read(channel.topic, {
        since,
        limit: PAGE_MESSAGES,
        maxBytes: PAGE_BYTES,
      })
      const subscription = channel.subscribers.get(connection)
      if (subscription === undefined || !subscription.live) break
      for (const publication of page.publications) {
        if (!subscription.advance(publication)) continue
        connection.outlet.push(eventParcel(publication, channel.conflates))
        journal.deliveredTotal += 1
      }
      const last = page.publications.at(-1)
      if (!page.more || last === undefined) break
      since = { epoch: last.epoch, seq: last.seq }
    }
  }
}
