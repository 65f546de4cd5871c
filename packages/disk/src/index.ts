export { DiskBroker } from './disk-broker.js'
export { type DiskBrokerOptions } from './options.js'
