import type { ChannelStats, ServerStats } from '@bmt-central/realtime-protocol'
import type { Broker } from './broker/broker.js'
import type { Channel } from './hub/channel.js'
import type { Hub } from './hub/hub.js'
import type { Journal } from './journal.js'
import type { Limits } from './limits/limits.js'

/** What `getStats` is made of. */
export interface StatsSources {
  readonly hub: Hub
  readonly broker: Broker
  readonly journal: Journal
  readonly limits: Limits
  readonly publishing: ReadonlyMap<string, unknown>
  readonly slow: { readonly size: number }
  readonly own: { readonly waitingBytes: { used: number; cap: number } }
  readonly uptimeMs: number
}

/** Channels listed in `getStats` unless asked for more. */
const CHANNEL_DETAILS = 1_000

export function serverStats(sources: StatsSources, channelDetails?: number): ServerStats {
  const { hub, broker, journal, limits } = sources
  let totalMessages = 0
  let waitingBytes = 0
  let backlog = 0
  let inProgress = 0
  let pages = 0
  let subscriptions = 0
  for (const channel of hub.channels.values()) totalMessages += channel.messageCount
  for (const connection of hub.connections.values()) {
    waitingBytes += connection.outlet.waitingBytes
    backlog += connection.backlog.length
    inProgress += connection.requestsInProgress
    pages += connection.pages
    subscriptions += connection.subscriptions.size
  }
  const held = broker.stats()
  const places = hub.connections.size
  return {
    connections: hub.connections.size,
    channels: hub.channels.size,
    totalMessages,
    channelDetails: busiest(hub.channels.values(), channelDetails ?? CHANNEL_DETAILS),
    publishedTotal: journal.publishedTotal,
    deliveredTotal: journal.deliveredTotal,
    subscriptions,
    users: hub.userCount,
    uptimeMs: sources.uptimeMs,
    refused: Object.fromEntries(journal.refused),
    bounds: {
      connections: { used: hub.connections.size, cap: limits.maxConnections },
      connectionsOpening: { used: hub.reservedCount, cap: limits.maxConnections },
      slowReaders: { used: sources.slow.size, cap: places },
      topics: { used: hub.channels.size, cap: limits.maxTopics },
      subscriptions: { used: subscriptions, cap: places * limits.maxSubscriptionsPerConnection },
      waitingBytes: { used: waitingBytes, cap: places * limits.hardMaxBufferedBytes },
      waitingRequests: { used: backlog, cap: places * (limits.publishBurst + limits.requestBurst) },
      requestsInProgress: { used: inProgress, cap: places * limits.maxRequestsInProgress },
      pages: { used: pages, cap: places * limits.maxRequestsInProgress },
      ownPublishBytes: sources.own.waitingBytes,
      publishesInProgress: {
        used: sources.publishing.size,
        cap: places * limits.maxRequestsInProgress,
      },
      retainedBytes: { used: held.retainedBytes, cap: limits.maxRetainedBytes },
      idempotencyIds: { used: held.idempotencyIds, cap: limits.maxIdempotencyIds },
      ...held.bounds,
    },
  }
}

export function channelStats(channel: Channel): ChannelStats {
  return {
    name: channel.topic,
    subscribers: channel.subscribers.size,
    messageCount: channel.messageCount,
    createdAt: channel.createdAt,
  }
}

function busiest(channels: Iterable<Channel>, count: number): ChannelStats[] {
  return Array.from(channels)
    .sort((a, b) => b.messageCount - a.messageCount || b.subscribers.size - a.subscribers.size)
    .slice(0, count)
    .map(channelStats)
}
