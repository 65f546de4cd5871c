import { describeIdempotency } from './broker-idempotency.js'
import { describeOrder } from './broker-order.js'
import { describeReading } from './broker-reading.js'
import { describeRetention } from './broker-retention.js'
import type { BrokerTest, CreateBroker } from './broker-world.js'

/** Declares one test: `test` of vitest, of `node:test`, or of anything else with this shape. */
export type DeclareTest = (title: string, run: () => Promise<void>) => void

/** What a broker is able to, and how tests are declared. */
export interface BrokerContractOptions {
  /** Handed in, so that this package needs no test runner. */
  readonly test: DeclareTest
  /** Whether streams, positions and accepted ids are still there when a place is opened again. */
  readonly survivesRestart: boolean
}

/**
 * The laws of the `Broker` port as tests: every adapter passes all of them. Each test makes brokers
 * of its own on places of its own, in virtual time, and closes them.
 *
 * ```ts
 * describe('MemoryBroker', () => brokerContract(() => new MemoryBroker(), { test, survivesRestart: false }))
 * ```
 */
export function brokerContract(createBroker: CreateBroker, options: BrokerContractOptions): void {
  let places = 0
  const { survivesRestart } = options
  /** Every test has a place of its own, whatever a durable broker keeps there. */
  const test: BrokerTest = (title, run) =>
    options.test(title, () => {
      const number = (places += 1)
      return run((place) => createBroker(`${number}-${place}`))
    })
  describeOrder(test, { survivesRestart })
  describeIdempotency(test)
  describeRetention(test)
  describeReading(test)
}
