/** The types of the original SDK's messages. Events on the wire carry `'event'`. */
export type MessageType = 'event' | 'subscribe' | 'unsubscribe' | 'publish' | 'heartbeat'

/** The shape that all messages share (contract, section 2). */
export interface RealtimeMessage<T = unknown> {
  type: MessageType
  topic?: string
  /** Unique message id: 1 to 64 of [A-Za-z0-9_-]. */
  id?: string
  /** Position in the topic's stream. */
  seq?: number
  payload?: T
  /** ms since the Unix epoch; for events the server's clock at append. */
  timestamp: number
}

/** A publication as subscribers get it [W21]. Ephemeral ones [P11] have `seq` 0 and `epoch` `''`. */
export interface EventMessage<T = unknown> extends RealtimeMessage<T> {
  type: 'event'
  topic: string
  id: string
  seq: number
  epoch: string
  payload: T
  timestamp: number
  /** The publishing user's id; null when the server itself published. */
  from: string | null
  /** So many publications before this one were left out on purpose (`overflow: 'latest'`). */
  skipped?: number
}
