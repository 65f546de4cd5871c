import { expect, test } from 'vitest'
import { TestServer } from '../testing/rig/test-server.js'

const LIMITS = { emptyChannelTtlMs: 60_000, sweepIntervalMs: 10_000 }

test('[L12] an empty channel lives on for its time, then its live state goes and its stream stays', async () => {
  await using server = await TestServer.start({ limits: LIMITS })
  const { service, runtime } = server
  const ann = await server.connect()
  await ann.request('subscribe', { topic: 'a' })
  const { epoch } = await ann.request('publish', { topic: 'a', payload: 1 })
  await ann.request('unsubscribe', { topic: 'a' })
  expect(server.events('channel_empty')).toEqual([{ topic: 'a' }])

  await runtime.advance(LIMITS.emptyChannelTtlMs - 1)
  expect(service.channels()).toMatchObject([{ name: 'a', subscribers: 0, messageCount: 1 }])
  await runtime.advance(LIMITS.sweepIntervalMs)
  expect(service.channels()).toEqual([])

  const again = await ann.request('subscribe', { topic: 'a', rewind: 1 })
  expect(again).toMatchObject({ epoch, seq: 1, messages: [{ seq: 1, payload: 1 }] })
  expect(service.channels()).toMatchObject([{ name: 'a', messageCount: 0 }])
  expect(server.events('channel_open')).toEqual([{ topic: 'a' }, { topic: 'a' }])
})

test('[L12] a channel with subscribers, or one that is published to, is not empty', async () => {
  await using server = await TestServer.start({ limits: LIMITS })
  const ann = await server.connect()
  await ann.request('subscribe', { topic: 'a' })
  await server.service.publish('b', 1)
  await server.runtime.advance(LIMITS.emptyChannelTtlMs - 1)
  await server.service.publish('b', 2)
  await server.runtime.advance(LIMITS.sweepIntervalMs)
  expect(server.service.channels().map(({ name }) => name)).toEqual(['a', 'b'])
  await server.runtime.advance(LIMITS.emptyChannelTtlMs)
  expect(server.service.channels().map(({ name }) => name)).toEqual(['a'])
})

test('[L12] by call every empty channel goes at once; gives how many', async () => {
  await using server = await TestServer.start({ limits: LIMITS })
  const ann = await server.connect()
  await ann.request('subscribe', { topic: 'kept' })
  await server.service.publish('a', 1)
  await server.service.publish('b', 1)
  expect(server.service.cleanupEmptyChannels()).toBe(2)
  expect(server.service.channels()).toMatchObject([{ name: 'kept', subscribers: 1 }])
  expect(server.service.cleanupEmptyChannels()).toBe(0)
})

test('[L11] past its live topics a server opens no new ones, and old ones go on', async () => {
  await using server = await TestServer.start({ limits: { ...LIMITS, maxTopics: 2 } })
  const ann = await server.connect()
  await ann.request('subscribe', { topic: 'a' })
  await ann.request('publish', { topic: 'b', payload: 1 })
  const full = { status: 'error', code: 'channel_full', retryable: true }
  expect(await ann.request('subscribe', { topic: 'c' })).toMatchObject(full)
  expect(await ann.request('publish', { topic: 'c', payload: 1 })).toMatchObject(full)
  expect(await ann.request('publish', { topic: 'a', payload: 1 })).toMatchObject({ seq: 1 })
  expect(server.service.cleanupEmptyChannels()).toBe(1)
  expect(await ann.request('subscribe', { topic: 'c' })).toMatchObject({ status: 'success' })
})
