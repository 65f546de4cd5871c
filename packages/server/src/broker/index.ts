export { AcceptedIds, type AcceptedId, type TopicIds, type WindowCut } from './accepted-ids.js'
export { Announcements } from './announcements.js'
export {
  EMPTY_STATS,
  NOWHERE,
  type Accepted,
  type Broker,
  type BrokerContext,
  type BrokerLimits,
  type BrokerSink,
  type BrokerStats,
  type Draft,
  type Maybe,
  type Publication,
  type PublishKey,
  type ReadQuery,
  type StreamPage,
  type StreamPolicy,
} from './broker.js'
export {
  KnownTopics,
  type KeptStream,
  TopicState,
  type TopicBounds,
  type TopicParts,
} from './known-topics.js'
export { limitOptions } from './limit-options.js'
export { MemoryBroker } from './memory-broker.js'
export { integerOption, invalidOption } from '../option-values.js'
export { PageBudget } from './page-budget.js'
export { idConflict, outOfOrder, publishName } from './publish-key.js'
export { Stream } from './stream.js'
