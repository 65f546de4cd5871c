export {
  RealtimeError,
  type ClientStats,
  type ErrorCode,
  type ErrorKind,
  type EventMessage,
  type Gap,
  type HistoryPage,
  type Logger,
  type MessageType,
  type Position,
  type PublishAck,
  type RealtimeMessage,
  type Runtime,
  type User,
} from '@bmt-central/realtime-protocol'
export { type ConnectionEvent, type ConnectionStatus } from './connection/driver.js'
export { type Wake } from './connection/wake.js'
export { type HistoryOptions } from './history.js'
export { type CreateLink, type Handshake, type Link, type LinkListener } from './link/link.js'
export {
  socketIoLink,
  type SocketIoLinkOptions,
  type TransportName,
} from './link/socket-io-link.js'
export { type RealtimeOptions } from './options.js'
export { type PublishOptions } from './publishing/entry.js'
export {
  type HeldStore,
  type OutboxChanges,
  type OutboxRecord,
  type OutboxStore,
} from './publishing/outbox-store.js'
export { type OutboxEvent } from './publishing/outbox.js'
export { ChannelPermissions, Realtime } from './realtime.js'
export { RealtimeClient, type ClientParts } from './realtime-client.js'
export {
  type MessageListener,
  type ReceivedMessage,
  type SubscribeOptions,
  type Subscription,
  type SubscriptionEvents,
  type SubscriptionState,
} from './subscriptions/subscription.js'
