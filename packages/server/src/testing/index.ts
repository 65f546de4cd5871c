export { brokerContract, type BrokerContractOptions, type DeclareTest } from './broker-contract.js'
export { type CreateBroker } from './broker-world.js'
export { type ServiceParts } from '../realtime-service.js'
export { type Handover, type Peer } from '../transport/peer.js'
export {
  type CreateTransport,
  type Transport,
  type TransportEvents,
} from '../transport/socket-io.js'
export { type PeerHandler } from '../transport/socket-peer.js'
