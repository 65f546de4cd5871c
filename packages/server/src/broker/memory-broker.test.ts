import { describe, test } from 'vitest'
import { brokerContract } from '../testing/broker-contract.js'
import { MemoryBroker } from './memory-broker.js'

describe('MemoryBroker', () => {
  brokerContract(() => new MemoryBroker(), { test, survivesRestart: false })
})
