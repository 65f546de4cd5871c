import { virtualRuntime, type VirtualRuntime } from '@bmt-central/realtime-protocol/testing'
import { describe, expect, test } from 'vitest'
import { brokerContract } from '../testing/broker-contract.js'
import { BrokerWorld, KEEP_ALL, WHOLE } from '../testing/broker-world.js'
import { invalidOptionsOf, refusalOf } from '../testing/refusal.js'
import type { BrokerLimits } from './broker.js'
import { MemoryBroker } from './memory-broker.js'

const open = (limits: Partial<BrokerLimits> = {}) =>
  BrokerWorld.open(() => new MemoryBroker(limits))

brokerContract(() => new MemoryBroker(), { test, survivesRestart: false })

test('answers at once, without a promise', async () => {
  await using world = await open()
  const draft = { id: 'm1', from: null, payloadJson: '1', payloadBytes: 1, hash: 'h' }
  expect(world.broker.publish('a', draft, KEEP_ALL)).toMatchObject({ seq: 1 })
  expect(world.heardIds('a')).toEqual(['m1'])
  expect(world.broker.accepted('a', draft)).toMatchObject({ seq: 1, duplicate: true })
  expect(world.broker.follows('a', null, 'm1')).toBe(true)
  expect(world.broker.subscribers('a', 1)).toMatchObject({ total: 1 })
  expect(world.broker.read('a', WHOLE)).toMatchObject({ head: 1 })
})

describe('[L11][P7] topics that are known at once', () => {
  test('[L11] at most twice maxTopics: whoever was longest unused is forgotten, under a new base epoch', async () => {
    await using world = await open({ maxTopics: 5 })
    const first = await world.publish('t0', 'm')
    const base = async () => (await world.broker.subscribers('unknown', 0)).position.epoch
    for (let number = 1; number < 10; number += 1) await world.publish(`t${number}`, 'm')
    expect(world.broker.stats().streams).toBe(10)
    expect(await base()).toBe(first.epoch)

    await world.broker.read('t0', WHOLE)
    const before = world.broker.stats()
    const eleventh = await world.publish('t10', 'm')
    // The forgotten one took an accepted id with it that was not a moment old.
    const window = { idempotencyIds: 11, idempotencyWindowMs: 0 }
    expect(world.broker.stats()).toEqual({
      ...before,
      ...window,
      bounds: { ...before.bounds, idempotencyIds: { used: 11, cap: 100_000 } },
    })
    expect(await base()).not.toBe(first.epoch)
    expect(eleventh.epoch).toBe(await base())
    // Reading was a use: not the first one was forgotten, but the second.
    const heads = await Promise.all(
      ['t0', 't1', 't2'].map(async (topic) => (await world.whole(topic)).head),
    )
    expect(heads).toEqual([1, 0, 1])
    const gap = (await world.broker.read('t1', { ...WHOLE, since: { epoch: first.epoch, seq: 1 } }))
      .gap
    expect(gap).toMatchObject({ reason: 'epoch_changed', epoch: await base() })
    expect((await world.publish('t0', 'm2')).epoch).toBe(first.epoch)
  })

  test('[L11] those that retain nothing go before those that do', async () => {
    await using world = await open({ maxTopics: 2 })
    await world.publish('full', 'm')
    for (const topic of ['bare1', 'bare2', 'bare3']) {
      await world.publish(topic, 'm', { policy: { ...KEEP_ALL, size: 0 } })
    }
    for (const topic of ['new1', 'new2', 'new3']) await world.publish(topic, 'm')
    expect((await world.whole('full')).head).toBe(1)
    expect((await world.whole('bare3')).head).toBe(0)
    await world.publish('new4', 'm')
    expect((await world.whole('full')).head).toBe(1)
    expect((await world.whole('new1')).head).toBe(0)
  })

  test('[L11] what has expired meanwhile goes by its last use, not by when it was freed', async () => {
    await using world = await open({ maxTopics: 2 })
    await world.publish('expired', 'm', { policy: { ...KEEP_ALL, ttlMs: 1_000 } })
    await world.runtime.advance(500)
    await world.publish('bare', 'm', { policy: { ...KEEP_ALL, size: 0 } })
    await world.runtime.advance(60_000)
    for (const topic of ['new1', 'new2', 'new3']) await world.publish(topic, 'm')
    expect((await world.whole('bare')).head).toBe(1)
    expect((await world.whole('expired')).head).toBe(0)
  })

  test('[L11] those with subscribers stay; where all have some, there is no room', async () => {
    await using world = await open({ maxTopics: 1 })
    await world.broker.subscribers('a', 1)
    const { epoch } = await world.publish('a', 'm1')
    for (let number = 0; number < 20; number += 1) await world.publish(`t${number}`, 'm')
    expect((await world.publish('a', 'm2')).epoch).toBe(epoch)
    await world.broker.subscribers('b', 1)
    const draft = { id: 'm', from: null, payloadJson: '1', payloadBytes: 1, hash: 'h' }
    expect(refusalOf(() => world.broker.publish('c', draft, KEEP_ALL)).code).toBe('channel_full')
    expect(refusalOf(() => world.broker.subscribers('c', 1)).code).toBe('channel_full')
    expect(world.broker.subscribers('c', 0)).toMatchObject({ total: 0 })
    await world.broker.subscribers('b', 0)
    expect(world.broker.publish('c', draft, KEEP_ALL)).toMatchObject({ seq: 1 })
  })

  test('[L17] who forgets accepted ids with a topic says so by windowMs', async () => {
    await using world = await open({ maxTopics: 1 })
    await world.publish('a', 'm1')
    await world.runtime.advance(1_000)
    await world.publish('b', 'm1')
    const third = await world.publish('c', 'm1')
    expect(third.windowMs).toBe(1_000)
    const again = await world.publish('a', 'm1')
    expect([again.duplicate, again.seq]).toEqual([false, 1])
  })

  test('[L2] subscribing to unknown topics and leaving again holds nothing', async () => {
    await using world = await open({ maxTopics: 1 })
    const base = (await world.broker.subscribers('unknown', 0)).position
    await world.publish('a', 'm', { policy: { ...KEEP_ALL, size: 0 } })
    for (let number = 0; number < 100; number += 1) {
      expect((await world.broker.subscribers(`t${number}`, 1)).position).toEqual(base)
      await world.broker.subscribers(`t${number}`, 0)
    }
    expect((await world.broker.subscribers('unknown', 0)).position).toEqual(base)
    expect((await world.whole('a')).head).toBe(1)
  })
})

test('[P7] what has expired is freed in several turns, not all at once', async () => {
  const runtime = virtualRuntime()
  const turns: number[] = []
  const counting: VirtualRuntime = {
    ...runtime,
    after: (ms, run) => {
      turns.push(ms)
      return runtime.after(ms, run)
    },
  }
  await using world = await BrokerWorld.open(() => new MemoryBroker(), {
    limits: { maxTopics: 10_000 },
    runtime: counting,
  })
  const policy = { ...KEEP_ALL, ttlMs: 1_000 }
  for (let number = 0; number < 3_500; number += 1)
    await world.publish(`t${number}`, 'm', { policy })
  expect(world.broker.stats().retainedMessages).toBe(3_500)
  turns.length = 0
  await runtime.advance(60_000)
  expect(world.broker.stats().retainedMessages).toBe(0)
  expect(turns).toEqual([0, 0, 0, 60_000])
})

test('[P1] a sink that throws is logged; the publish succeeds, and the next ones are announced', async () => {
  const logged: unknown[] = []
  const heard: string[] = []
  const broker = new MemoryBroker()
  const limits = { idempotencyWindowMs: 1, maxIdempotencyIds: 1, maxRetainedBytes: 1, maxTopics: 1 }
  const log = (...entry: unknown[]) => void logged.push(entry)
  const sink = {
    publication: ({ id }: { id: string }) => {
      heard.push(id)
      throw new Error('no more subscribers')
    },
    lost: () => undefined,
    state: () => undefined,
  }
  const logger = { debug: log, info: log, warn: log, error: log }
  await broker.start(sink, { limits, runtime: virtualRuntime(), logger })
  for (const id of ['m1', 'm2']) {
    const draft = { id, from: null, payloadJson: '1', payloadBytes: 1, hash: id }
    expect(broker.publish('a', draft, KEEP_ALL).duplicate).toBe(false)
  }
  expect(heard).toEqual(['m1', 'm2'])
  const fields = { topic: 'a', seq: 1, error: 'Error: no more subscribers' }
  expect(logged[0]).toEqual(['an announcement failed', fields])
})

describe('options', () => {
  test('[L17][L18] its own win over those of the server', async () => {
    await using world = await open({ maxIdempotencyIds: 4, maxRetainedBytes: 1_000 })
    await world.publishMany('a', 50)
    const stats = world.broker.stats()
    expect(stats.idempotencyIds).toBeLessThanOrEqual(4)
    expect(stats.retainedBytes).toBeLessThanOrEqual(1_000)
    expect(stats.retainedMessages).toBeGreaterThan(0)
    expect(stats.bounds).toEqual({
      retainedBytes: { used: stats.retainedBytes, cap: 1_000 },
      idempotencyIds: { used: stats.idempotencyIds, cap: 4 },
    })
  })

  test('[L18] 0 retained bytes keep nothing, and every publish is announced all the same', async () => {
    await using world = await open({ maxRetainedBytes: 0 })
    const [, second] = await world.publishMany('a', 2)
    expect(second?.seq).toBe(2)
    expect(world.heardIds('a')).toEqual(['m1', 'm2'])
    expect((await world.whole('a')).publications).toEqual([])
  })

  test.each<[unknown, string]>([
    [null, 'the options of MemoryBroker must be an object'],
    [{ maxTopics: 0 }, 'MemoryBroker.maxTopics must be a whole number of at least 1, got 0'],
    [{ maxRetainedBytes: '1 GiB' }, 'MemoryBroker.maxRetainedBytes must be'],
    [{ idempotencyWindowMs: -1 }, 'MemoryBroker.idempotencyWindowMs must be'],
    [{ maxIdempotencyIds: 1.5 }, 'MemoryBroker.maxIdempotencyIds must be'],
    [{ maxRetained: 1 }, 'MemoryBroker.maxRetained is unknown'],
  ])('%j is refused', (options, expected) => {
    expect(invalidOptionsOf(() => new MemoryBroker(options as BrokerLimits))).toContain(expected)
  })

  test('one broker serves one server: a second start is refused, also after its end', async () => {
    const world = await open()
    const start = () => BrokerWorld.open(() => world.broker)
    await expect(start()).rejects.toMatchObject({ code: 'invalid_options' })
    await world.broker.close()
    await expect(start()).rejects.toMatchObject({ code: 'invalid_options' })
  })

  test('a broker that has not been started takes nothing', () => {
    const { code, message } = refusalOf(() => new MemoryBroker().read('a', WHOLE))
    expect(code).toBe('broker_unavailable')
    expect(message).toContain('not been started')
    expect(new MemoryBroker().stats().streams).toBe(0)
  })
})
