/** What the client's `getStats` says. `subscriptions`, `queueSize`, `reconnectCount` are the original's. */
export interface ClientStats {
  status: 'idle' | 'connecting' | 'connected' | 'reconnecting' | 'disconnected' | 'closed'
  connectionId: string | null
  /** ms since the Unix epoch, null while not connected. */
  connectedAt: number | null
  /** Reconnections in the client's life. */
  reconnectCount: number
  /** Listeners over all topics. */
  subscriptions: number
  /** Topics with a wire subscription. */
  topics: number
  /** Publishes that are not acknowledged yet. */
  queueSize: number
  queueBytes: number
  /**
   * Whether queued publishes outlive a reload: `held`; not by option (`none`), not while another tab
   * has the store (`waiting`), or not since it failed (`failed`).
   */
  outboxStore: 'none' | 'waiting' | 'held' | 'failed'
  published: number
  acknowledged: number
  /** Publishes that were rejected. */
  failed: number
  /** Messages handed to listeners, by topic and not by listener. */
  received: number
  /** Messages dropped because they had been delivered already. */
  duplicates: number
  /** Missed messages that a recovery brought. */
  recoveredMessages: number
  gaps: number
  /** Listeners that threw. */
  listenerErrors: number
  /** ms of the last heartbeat's way there and back, null before the first. */
  latencyMs: number | null
  /** How full each bounded thing is: entries and cap. */
  bounds: Record<string, { used: number; cap: number }>
}

/** One channel in the server's statistics; `name` is its topic. */
export interface ChannelStats {
  name: string
  subscribers: number
  /** Publications since the channel was opened. */
  messageCount: number
  /** ms since the Unix epoch. */
  createdAt: number
}

/** What the server's `getStats` says. The first four are the original's. */
export interface ServerStats {
  connections: number
  channels: number
  /** Publications of the live channels. */
  totalMessages: number
  /** The busiest 1,000 unless asked for more. */
  channelDetails: ChannelStats[]
  /** Publications since the start. */
  publishedTotal: number
  /** Messages handed to connections since the start. */
  deliveredTotal: number
  subscriptions: number
  users: number
  /** ms since the service was made. */
  uptimeMs: number
  /** Refused requests and connections since the start, by error code. */
  refused: Partial<Record<string, number>>
  /** How full each bounded thing is: entries (or bytes where the name says so) and cap. */
  bounds: Record<string, { used: number; cap: number }>
}
