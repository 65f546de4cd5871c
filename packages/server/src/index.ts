export { type Authenticate, type ClientFacts, type Handshake } from './auth/authenticate.js'
export { devAuth, type DevAuthOptions } from './auth/dev.js'
export { jwtAuth, type JwtAuthOptions } from './auth/jwt.js'
export { type Broker } from './broker/broker.js'
export { MemoryBroker } from './broker/memory-broker.js'
export { type ConnectionSnapshot, type ServiceEvents } from './journal.js'
export { type Limits } from './limits/limits.js'
export { type RealtimeServiceOptions } from './options.js'
export {
  RealtimeService,
  type NotificationLevel,
  type ServerPublishOptions,
} from './realtime-service.js'
export { type AccessFunction, type ChannelRule, type OnPublish } from './rules.js'
export {
  RealtimeError,
  type ChannelStats,
  type ErrorCode,
  type EventMessage,
  type HistoryPage,
  type HistoryQuery,
  type Logger,
  type PublishAck,
  type Runtime,
  type Schema,
  type ServerStats,
  type User,
} from '@bmt-central/realtime-protocol'
