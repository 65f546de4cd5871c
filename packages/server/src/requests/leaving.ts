import type { Topic } from '@bmt-central/realtime-protocol'
import type { Channel } from '../hub/channel.js'
import type { Connection } from '../hub/connection.js'
import type { RequestContext } from './context.js'

/** Ends a subscription that there may be, and says so. */
export function endSubscription(
  context: RequestContext,
  connection: Connection,
  channel: Channel,
): void {
  if (!leaveChannel(context, connection, channel)) return
  const { id: connectionId, user } = connection
  context.journal.unsubscribed({ connectionId, userId: user.userId, topic: channel.topic })
}

/** Takes a connection out of a channel and tells the broker. False where it was not in it. */
export function leaveChannel(
  context: RequestContext,
  connection: Connection,
  channel: Channel,
): boolean {
  // What it has been counted for leaves before it is told of the end; none of the topic after that [W11].
  context.fanOut.settle(channel, connection)
  if (!context.hub.leave(connection, channel)) return false
  tellBroker(context, channel.topic)
  return true
}

/** Tells the broker how many subscribe here now, where nobody waits for its answer. */
export function tellBroker(context: RequestContext, topic: Topic): void {
  const where = `telling the broker who subscribes to ${topic}`
  // Looked up: the channel that somebody left may have been dropped, and opened anew by somebody else.
  const channel = context.hub.channels.get(topic)
  try {
    const told = context.broker.subscribers(
      topic,
      channel?.subscribers.size ?? 0,
      channel?.live ?? 0,
    )
    if (told instanceof Promise) {
      told.catch((error: unknown) => context.journal.failed(error, where))
    }
  } catch (error) {
    context.journal.failed(error, where)
  }
}
