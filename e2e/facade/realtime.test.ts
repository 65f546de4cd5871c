import { ChannelPermissions, Realtime, type ConnectionEvent } from '@bmt-central/realtime'
import { afterEach, describe, expect, test } from 'vitest'
import { failureOf } from '../failure.js'
import { World } from '../harness.js'
import { range } from '../reader.js'
import { until, within } from '../until.js'

const ROOM_RULE = {
  match: 'chat-room-*',
  subscribe: 'authenticated',
  publish: 'authenticated',
} as const

/** Short waits, as everywhere in these tests. */
const reconnect = { baseMs: 100, capMs: 200 }

afterEach(() => Realtime.disconnect())

describe('Realtime, the default client', () => {
  // First in this file: later there has been a client.
  test('[R8] without a client: the built-in rules answer, all else asks for `init`', async () => {
    expect(Realtime.canAccessChannel('user:1:inbox', 'user', '1')).toBe(true)
    expect(Realtime.canAccessChannel('user:12:inbox', 'user', '1')).toBe(false)
    expect(Realtime.canPublishToChannel('system:metrics', 'user', '1')).toBe(false)
    expect(ChannelPermissions.canAccess('public:news', 'user', '1')).toBe(true)
    expect(ChannelPermissions.canPublish('private:deal', 'user', '1', [])).toBe(false)
    expect(() => Realtime.subscribe('chat-room-1')).toThrow(
      expect.objectContaining({ code: 'invalid_options' }),
    )
    expect((await failureOf(Realtime.publish('chat-room-1', 1))).code).toBe('invalid_options')
    expect((await failureOf(Realtime.connect())).code).toBe('invalid_options')
    expect(() => Realtime.disconnect()).not.toThrow()
  })

  test('[C1][C2][P1] connects, subscribes, publishes, tells, counts and comes back', async () => {
    await using world = await World.start({ channels: [ROOM_RULE] })
    const line = await world.line()
    const told: ConnectionEvent[] = []
    const heard: string[] = []

    Realtime.init({ url: line.url, auth: 'dev:ada', reconnect })
    const stopTelling = Realtime.onConnection((event) => told.push(event))
    // Before there is a connection: both wait for it.
    const sub = Realtime.subscribe<{ text: string }>('chat-room-1', ({ payload }) => {
      heard.push(payload.text)
    })
    const first = Realtime.publish('chat-room-1', { text: 'Hello' })
    await within(Realtime.connect(), 'the default client to connect')
    expect(await first).toMatchObject({ topic: 'chat-room-1', seq: 1, deliveredTo: 1 })
    await within(sub.ready, 'the topic to be live')
    expect(Realtime.getStats()).toMatchObject({
      status: 'connected',
      subscriptions: 1,
      queueSize: 0,
      reconnectCount: 0,
    })

    line.cut()
    await until(() => Realtime.getStats().reconnectCount === 1, 'the client to be back')
    for (const number of range(1, 3)) await Realtime.publish('chat-room-1', { text: `${number}` })
    await until(() => heard.length === 4, 'all messages')
    expect(heard).toEqual(['Hello', '1', '2', '3'])
    const statuses = told.map(({ status }) => status)
    expect(statuses.filter((status, index) => status !== statuses[index - 1])).toEqual([
      'connecting',
      'connected',
      'reconnecting',
      'connected',
    ])
    expect(told.find(({ retryInMs }) => retryInMs !== undefined)?.attempt).toBe(1)
    stopTelling()
    stopTelling()
    const before = told.length

    Realtime.disconnect()
    expect(Realtime.getStats()).toMatchObject({ status: 'disconnected', subscriptions: 1 })
    expect(told).toHaveLength(before)
    const waiting = Realtime.publish('chat-room-1', { text: 'back' })
    await within(Realtime.connect(), 'the default client to connect again')
    await within(waiting, 'the acknowledgement')
    await until(() => heard.length === 5, 'the last message')
    sub.unsubscribe()
    expect(Realtime.getStats().subscriptions).toBe(0)
  })

  test('[C1] connect(options) makes it and connects; with others while connected it refuses', async () => {
    await using world = await World.start({ channels: [ROOM_RULE] })
    const options = { url: world.url, auth: 'dev:bob', reconnect }
    await within(Realtime.connect(options), 'the default client to connect')
    const id = Realtime.getStats().connectionId
    // The same options once more are no reason for another client.
    await within(Realtime.connect({ ...options, reconnect: { ...reconnect } }), 'the same again')
    expect(Realtime.getStats().connectionId).toBe(id)
    const other = await failureOf(Realtime.connect({ ...options, auth: 'dev:eve' }))
    expect(other.code).toBe('invalid_options')
    expect(Realtime.getStats()).toMatchObject({ status: 'connected', connectionId: id })

    Realtime.disconnect()
    await within(Realtime.connect({ ...options, auth: 'dev:eve' }), 'another client')
    expect(world.service.connections().map(({ user }) => user.userId)).toContain('eve')
  })

  test('[R7][R8] canAccessChannel goes by the server’s rules once they are known', async () => {
    await using world = await World.start({ channels: [ROOM_RULE] })
    await within(Realtime.connect({ url: world.url, auth: 'dev:ada', reconnect }), 'a connection')
    expect(Realtime.canAccessChannel('chat-room-1', 'user', 'ada')).toBe(true)
    expect(Realtime.canPublishToChannel('chat-room-1', 'user', 'ada')).toBe(true)
    expect(Realtime.canAccessChannel('elsewhere', 'user', 'ada')).toBe(false)
    expect(ChannelPermissions.canAccess('chat-room-1', 'user', 'ada')).toBe(true)
    expect(ChannelPermissions.canPublish('elsewhere', 'user', 'ada')).toBe(false)
  })

  test('[C1] a final refusal rejects connect()', async () => {
    await using world = await World.start()
    const refused = failureOf(Realtime.connect({ url: world.url, auth: 'nobody', reconnect }))
    expect((await refused).code).toBe('unauthenticated')
    expect(Realtime.getStats().status).toBe('disconnected')
  })
})
