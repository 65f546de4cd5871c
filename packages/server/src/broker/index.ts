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
export { MemoryBroker } from './memory-broker.js'
export { Stream } from './stream.js'
