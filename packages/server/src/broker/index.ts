export { AcceptedIds, type AcceptedId, type TopicIds } from './accepted-ids.js'
export {
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
export { MemoryBroker } from './memory-broker.js'
export { PageBudget } from './page-budget.js'
export { Stream } from './stream.js'
