import type { Hub } from '../hub/hub.js'
import type { Journal } from '../journal.js'
import type { Publication } from '../publication.js'
import type { Parcel } from '../transport/outlet.js'
import { eventParcel } from './event-json.js'

/**
 * Brings one publication to the subscribers of this server: encoded once, and only where somebody
 * listens. Called by the broker, in `seq` order for each topic.
 */
export function fanOut(hub: Hub, journal: Journal, publication: Publication): void {
  const channel = hub.channels.get(publication.topic)
  if (channel === undefined || channel.subscribers.size === 0) return
  let parcel: Parcel | null = null
  for (const [connection, subscription] of channel.subscribers) {
    if (!subscription.live) {
      subscription.wait(publication)
      continue
    }
    if (!subscription.advance(publication)) continue
    parcel ??= eventParcel(publication, channel.conflates)
    connection.outlet.push(parcel)
    journal.deliveredTotal += 1
  }
}
