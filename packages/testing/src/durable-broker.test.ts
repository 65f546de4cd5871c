import { silentLogger } from '@bmt-central/realtime-protocol'
import { virtualRuntime, type VirtualRuntime } from '@bmt-central/realtime-protocol/testing'
import type { Draft, Publication, StreamPolicy } from '@bmt-central/realtime-server/broker'
import { brokerContract } from '@bmt-central/realtime-server/testing'
import { describe, expect, test } from 'vitest'
import { DurableBroker, type Disk } from './durable-broker.js'
import { DurableStore } from './durable-store.js'

describe('the model of a durable broker', () => {
  const stores = new Map<string, DurableStore>()
  brokerContract(
    (place) => {
      const store = stores.get(place) ?? new DurableStore()
      stores.set(place, store)
      return new DurableBroker(store, disk({ commitMs: () => 0 }))
    },
    { test, survivesRestart: true },
  )
})

const LIMITS = {
  idempotencyWindowMs: 300_000,
  maxIdempotencyIds: 1_000,
  maxRetainedBytes: 1_000_000,
  maxTopics: 10,
}
const POLICY: StreamPolicy = { delivery: 'recoverable', size: 10, ttlMs: 60_000, bytes: 10_000 }
const COMMIT_MS = 10

function disk(parts: Partial<Disk> = {}): Disk {
  return { commitMs: () => COMMIT_MS, fails: () => false, landed: () => false, ...parts }
}

function draft(id: string, after?: string): Draft {
  const text = JSON.stringify(id)
  return {
    id,
    from: 'ann',
    payloadJson: text,
    payloadBytes: text.length,
    hash: text,
    ...(after !== undefined && { after }),
  }
}

/** A process that has the store open, and what it was told. */
async function life(
  store: DurableStore,
  runtime: VirtualRuntime,
  parts: Partial<Disk> = {},
): Promise<{ broker: DurableBroker; heard: string[]; windowEpoch: string }> {
  const broker = new DurableBroker(store, disk(parts))
  const heard: string[] = []
  const sink = {
    publication: ({ id, seq }: Publication) => void heard.push(`${seq} ${id}`),
    lost: () => undefined,
    state: () => undefined,
  }
  const context = { limits: LIMITS, runtime, logger: silentLogger }
  const { windowEpoch } = await broker.start(sink, context)
  return { broker, heard, windowEpoch }
}

/** Publishes, and notes what becomes of it. */
function publish(broker: DurableBroker, id: string, after?: string): { state: string } {
  const outcome = { state: 'waits' }
  Promise.resolve(broker.publish('a', draft(id, after), POLICY)).then(
    ({ seq }) => void (outcome.state = `seq ${seq}`),
    (error: unknown) => void (outcome.state = String(error)),
  )
  return outcome
}

test('[P6] nothing is announced, read or acknowledged before its transaction is over', async () => {
  const runtime = virtualRuntime()
  const { broker, heard } = await life(new DurableStore({ runtime }), runtime)
  const [one, two] = [publish(broker, 'm1'), publish(broker, 'm2', 'm1')]
  await runtime.advance(COMMIT_MS - 1)
  const page = await broker.read('a', { limit: 10, maxBytes: 1_000 })
  expect([page.head, heard, one.state, two.state]).toEqual([0, [], 'waits', 'waits'])
  await runtime.advance(1)
  expect([heard, one.state, two.state]).toEqual([['1 m1', '2 m2'], 'seq 1', 'seq 2'])
})

test.each([
  ['is lost with its process', false, 0],
  ['is there as a whole where the disk had it already', true, 2],
])('[P6] an interrupted transaction %s; what was committed stays', async (_, landed, more) => {
  const runtime = virtualRuntime()
  const appended: string[] = []
  const store = new DurableStore({ runtime, appended: ({ id }) => void appended.push(id) })
  const first = await life(store, runtime, { landed: () => landed })
  publish(first.broker, 'm1')
  await runtime.advance(COMMIT_MS)
  const [two, three] = [publish(first.broker, 'm2'), publish(first.broker, 'm3')]
  await runtime.advance(COMMIT_MS - 1)
  first.broker.crash()
  const second = await life(store, runtime)
  await runtime.advance(COMMIT_MS)
  expect([two.state, three.state, first.heard]).toEqual(['waits', 'waits', ['1 m1']])
  expect(second.windowEpoch).toBe(first.windowEpoch)
  expect(appended).toEqual(['m1', 'm2', 'm3'].slice(0, 1 + more))
  const again = publish(second.broker, 'm1')
  const next = publish(second.broker, 'm4')
  await runtime.advance(COMMIT_MS)
  expect([again.state, next.state]).toEqual(['seq 1', `seq ${2 + more}`])
})

test('[P6] of a transaction that fails nothing has happened, and for a while nothing is taken', async () => {
  const runtime = virtualRuntime()
  const failures = [true, false]
  const { broker, heard } = await life(new DurableStore({ runtime }), runtime, {
    fails: () => failures.shift() ?? false,
  })
  const one = publish(broker, 'm1')
  await runtime.advance(COMMIT_MS)
  expect(one.state).toContain('has no room')
  expect(() => broker.publish('a', draft('m1'), POLICY)).toThrow('has no room')
  await runtime.advance(1_000)
  const again = publish(broker, 'm1')
  await runtime.advance(COMMIT_MS)
  expect([again.state, heard]).toEqual(['seq 1', ['1 m1']])
})

test('[P6] a second process waits for the first, which ends what it has begun', async () => {
  const runtime = virtualRuntime()
  const store = new DurableStore({ runtime })
  const first = await life(store, runtime)
  const one = publish(first.broker, 'm1')
  const second = life(store, runtime)
  let open = false
  void second.then(() => (open = true))
  await runtime.advance(1)
  const closed = first.broker.close()
  await runtime.advance(COMMIT_MS - 2)
  expect([one.state, open]).toEqual(['waits', false])
  await runtime.advance(1)
  await closed
  expect([one.state, (await second).heard]).toEqual(['seq 1', []])
})
