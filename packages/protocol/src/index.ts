export {
  decodeBatchAck,
  decodeEventMessage,
  decodeHeartbeatAck,
  decodeHistoryPage,
  decodePublishAck,
  decodeSubscribeAck,
  decodeUnsubscribeAck,
  type HeartbeatAck,
  type HistoryPage,
  type PublishAck,
  type SubscribeAck,
  type UnsubscribeAck,
  type WirePublishAck,
} from './answers.js'
export {
  ERROR_CODES,
  fromWireFailure,
  isErrorCode,
  RealtimeError,
  toWireFailure,
  type ErrorCode,
  type ErrorKind,
  type ErrorSpec,
  type RealtimeErrorOptions,
  type WireFailure,
} from './errors.js'
export { Listeners } from './listeners.js'
export { type EventMessage, type MessageType, type RealtimeMessage } from './message.js'
export { compilePattern, patternCovers, type Params, type Pattern } from './pattern.js'
export {
  decodePayload,
  encodePayload,
  MAX_BINARY_PARTS,
  utf8Length,
  type EncodedPayload,
  type PayloadLimits,
} from './payload.js'
export {
  ANONYMOUS_ROLE,
  compileRules,
  decide,
  matchRule,
  parseAccess,
  preCheck,
  ruleWarnings,
  type Access,
  type Action,
  type Delivery,
  type Overflow,
  type Principal,
  type RuleMatch,
  type RuleSet,
  type RuleWarning,
  type User,
  type Verdict,
  type WireRule,
} from './permissions.js'
export {
  gapSince,
  place,
  resumeAfter,
  type Gap,
  type Placement,
  type Position,
  type StreamBounds,
} from './position.js'
export {
  decodeHistoryQuery,
  decodeRequest,
  isRequestEvent,
  MAX_BATCH_TOPICS,
  REQUEST_EVENTS,
  requestMessageId,
  type ClientRequest,
  type HeartbeatRequest,
  type HistoryQuery,
  type HistoryRequest,
  type PublishRequest,
  type RefusedItem,
  type RequestEvent,
  type SubscribeItem,
  type SubscribeRequest,
  type UnsubscribeRequest,
} from './requests.js'
export {
  elapsedSince,
  instantNow,
  silentLogger,
  type Cancel,
  type Instant,
  type Log,
  type Logger,
  type Runtime,
} from './runtime.js'
export {
  applySchema,
  isSchema,
  type Schema,
  type SchemaIssue,
  type SchemaResult,
} from './schema.js'
export {
  decodeConnected,
  PROTOCOL_VERSION,
  type ConnectedEvent,
  type ConnectedLimits,
} from './server-events.js'
export { type ChannelStats, type ClientStats, type ServerStats } from './stats.js'
export { isMessageId, kindOf, parseTopic, userIdFault, type Topic } from './topic.js'
