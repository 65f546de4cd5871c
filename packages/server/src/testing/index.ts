export { brokerContract, type BrokerContractOptions, type DeclareTest } from './broker-contract.js'
export { type CreateBroker } from './broker-world.js'
