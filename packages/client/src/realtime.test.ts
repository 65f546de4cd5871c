import { afterEach, describe, expect, test } from 'vitest'
import { ChannelPermissions, Realtime } from './realtime.js'
import { failureOf } from './testing/test-client.js'

// The facade makes its own clients: their links go nowhere, quickly.
const url = 'ws://127.0.0.1:9'

afterEach(async () => {
  Realtime.disconnect()
  await Realtime.init({ url }).close()
})

describe('before init', () => {
  test('[C1] everything that needs a client says what to do first', async () => {
    await expect(Realtime.connect()).rejects.toThrow('call init(options) or connect(options) first')
  })
})

describe('init', () => {
  test('[C1] makes the client that everything forwards to', () => {
    const client = Realtime.init({ url })
    const sub = Realtime.subscribe('room', () => undefined)
    expect(client.getStats()).toMatchObject({ status: 'idle', subscriptions: 1 })
    expect(Realtime.getStats()).toEqual(client.getStats())
    const stop = Realtime.onConnection(() => undefined)
    stop()
    sub.unsubscribe()
    expect(Realtime.getStats().subscriptions).toBe(0)
  })

  test('[P5] publish forwards, and rejects what it must', async () => {
    const client = Realtime.init({ url })
    const waiting = failureOf(Realtime.publish('room', 1))
    expect(await failureOf(Realtime.publish('a::b', 1))).toMatchObject({ code: 'invalid_topic' })
    await client.close()
    expect(await waiting).toMatchObject({ code: 'closed' })
  })

  test('[C8] with others while it is not in use: the one before is closed', async () => {
    const first = Realtime.init({ url })
    const second = Realtime.init({ url, path: '/other' })
    expect(second).not.toBe(first)
    expect(first.status).toBe('closed')
    await second.close()
  })

  test('[C8] while connecting or connected: the same options are fine, others are refused', async () => {
    const options = { url, reconnect: { baseMs: 60_000 }, auth: () => null }
    const client = Realtime.init(options)
    const connecting = failureOf(Realtime.connect())
    expect(Realtime.init({ ...options, reconnect: { baseMs: 60_000 } })).toBe(client)
    expect(await failureOf(Realtime.connect({ ...options, auth: () => null }))).toMatchObject({
      code: 'invalid_options',
    })
    Realtime.disconnect()
    expect(await connecting).toMatchObject({ code: 'not_connected' })
  })

  test('[C1] connect(options) makes the client first; a signal ends the wait', async () => {
    const controller = new AbortController()
    const connecting = failureOf(Realtime.connect({ url, signal: controller.signal }))
    controller.abort()
    expect(await connecting).toMatchObject({ code: 'aborted' })
  })
})

describe('rights', () => {
  test('[R8] without rules ChannelPermissions answers by the built-in ones, the facade with yes', () => {
    Realtime.init({ url })
    expect(ChannelPermissions.canAccess('chat-room-1', 'user', 'ada')).toBe(false)
    expect(ChannelPermissions.canAccess('public:news', 'user', 'ada')).toBe(true)
    expect(ChannelPermissions.canPublish('system:news', 'user', 'ada')).toBe(false)
    expect(ChannelPermissions.canPublish('user:ada', 'user', 'ada')).toBe(true)
    expect(Realtime.canAccessChannel('chat-room-1', 'user', 'ada')).toBe(true)
    expect(Realtime.canPublishToChannel('system:news', 'user', 'ada')).toBe(true)
  })
})
