import { RealtimeError } from '@bmt-central/realtime-protocol'
import { describe, expect, test } from 'vitest'
import { failureOf, outcome, testClient } from '../testing/test-client.js'

const statuses = (events: readonly { status: string }[]): string[] =>
  events.map(({ status }) => status)

describe('connecting', () => {
  test('[W2] the handshake carries the token, the protocol, one instance for the client’s life and its attempts', async () => {
    const { client, server, connected } = testClient({ auth: 'secret' })
    const first = await connected()
    expect(first.handshake).toMatchObject({ token: 'secret', protocol: 1 })
    const { instance, attempt, name, version } = first.handshake.client
    expect(instance).toMatch(/^[A-Za-z0-9_-]{16,64}$/)
    expect([name, version]).toEqual(['@bmt-central/realtime', '0.1.0'])
    client.disconnect()
    await connected()
    expect(server.links).toHaveLength(2)
    const again = server.link.handshake.client
    expect(again.instance).toBe(instance)
    expect(again.attempt).toBeGreaterThan(attempt)
  })

  test('[W2] no token, no field', async () => {
    const { connected } = testClient()
    expect((await connected()).handshake).not.toHaveProperty('token')
  })

  test('[C1] connect() resolves when `connected` has arrived, not before', async () => {
    const { client, server, runtime, events } = testClient()
    server.onOpen = () => undefined
    const connecting = client.connect()
    await runtime.settle()
    expect(client.status).toBe('connecting')
    expect(await outcome(connecting)).toBe('pending')
    server.link.admit()
    await connecting
    expect(client.status).toBe('connected')
    expect(statuses(events)).toEqual(['connecting', 'connected'])
    await client.connect()
    expect(server.links).toHaveLength(1)
  })

  test('[C1] connect() goes on trying, and tells when the next attempt begins', async () => {
    const { client, server, runtime, events } = testClient()
    server.onOpen = (link) => queueMicrotask(() => link.down())
    const connecting = client.connect()
    await runtime.settle()
    expect(events.at(-1)).toMatchObject({
      status: 'connecting',
      attempt: 1,
      error: { code: 'not_connected' },
    })
    expect(events.at(-1)?.retryInMs).toBeGreaterThanOrEqual(100)
    await runtime.advance(10_000)
    expect(server.links.length).toBeGreaterThan(2)
    server.onOpen = (link) => queueMicrotask(() => link.admit())
    await runtime.advance(60_000)
    await connecting
    expect(client.getStats()).toMatchObject({ status: 'connected', reconnectCount: 0 })
  })

  test('[C1] connect() rejects with not_connected when attempts are used up, with their number', async () => {
    const { client, server, runtime } = testClient({ reconnect: { maxAttempts: 2 } })
    server.onOpen = (link) => queueMicrotask(() => link.down())
    const connecting = client.connect()
    const rejected = failureOf(connecting)
    await runtime.advance(60_000)
    expect(await rejected).toMatchObject({
      code: 'not_connected',
      details: { attempts: 2 },
    })
    expect(client.status).toBe('disconnected')
    expect(server.links).toHaveLength(3)
  })

  test('[C1] connect() rejects when disconnect() or close() comes first', async () => {
    const { client, server } = testClient()
    server.onOpen = () => undefined
    const first = client.connect()
    client.disconnect()
    await expect(first).rejects.toMatchObject({ code: 'not_connected' })
    const second = client.connect()
    await client.close()
    await expect(second).rejects.toMatchObject({ code: 'closed' })
    await expect(client.connect()).rejects.toMatchObject({ code: 'closed' })
    expect(client.status).toBe('closed')
  })

  test('[C1] a signal ends one wait; the last one that waits ends the attempt', async () => {
    const { client, server, runtime } = testClient()
    server.onOpen = () => undefined
    const [first, second] = [new AbortController(), new AbortController()]
    const one = client.connect({ signal: first.signal })
    const two = client.connect({ signal: second.signal })
    first.abort()
    await expect(one).rejects.toMatchObject({ code: 'aborted' })
    expect(client.status).toBe('connecting')
    second.abort()
    await expect(two).rejects.toMatchObject({ code: 'aborted' })
    await runtime.settle()
    expect(client.status).toBe('disconnected')
    await expect(client.connect({ signal: first.signal })).rejects.toMatchObject({
      code: 'aborted',
    })
    expect(client.status).toBe('disconnected')
  })

  test('[C1] an attempt that nobody answers ends after 30 s, and the next one begins', async () => {
    const { client, server, runtime } = testClient()
    server.onOpen = () => undefined
    const connecting = client.connect()
    await runtime.advance(29_999)
    expect(server.link.dropped).toBe(false)
    await runtime.advance(1)
    expect(server.link.dropped).toBe(true)
    server.onOpen = (link) => queueMicrotask(() => link.admit())
    await runtime.advance(5_000)
    await connecting
  })

  test('[W3] what a server says that is no `connected` is a failed attempt', async () => {
    const { client, server, runtime } = testClient()
    server.onOpen = (link) => queueMicrotask(() => link.emit('connected', { connectionId: 7 }))
    const connecting = client.connect()
    await runtime.settle()
    expect(client.status).toBe('connecting')
    expect(server.link.dropped).toBe(true)
    server.onOpen = (link) => queueMicrotask(() => link.admit())
    await runtime.advance(5_000)
    await connecting
  })

  test('[C1] a server that speaks another protocol is final', async () => {
    const { client, server } = testClient()
    server.welcome = { protocol: 2 }
    await expect(client.connect()).rejects.toMatchObject({ code: 'protocol_unsupported' })
    expect(client.status).toBe('disconnected')
  })
})

describe('losing the connection', () => {
  test('[C1] it comes back by itself and counts', async () => {
    const { client, server, runtime, events, connected } = testClient()
    const link = await connected()
    link.down()
    expect(client.status).toBe('reconnecting')
    expect(events.at(-1)).toMatchObject({ status: 'reconnecting', attempt: 1 })
    await runtime.advance(1_000)
    expect(client.getStats()).toMatchObject({ status: 'connected', reconnectCount: 1 })
    expect(server.links).toHaveLength(2)
  })

  test('[C5] events of a dropped link change nothing any more', async () => {
    const { client, server, runtime, connected } = testClient()
    const old = await connected()
    const heard: unknown[] = []
    client.subscribe('room', (message) => heard.push(message))
    await runtime.settle()
    old.waiting('subscribe')[0]?.ok({
      results: [
        {
          status: 'success',
          topic: 'room',
          subscriberCount: 1,
          epoch: 'e',
          seq: 0,
          recovered: false,
          messages: [],
          more: false,
        },
      ],
    })
    client.disconnect()
    await connected()
    const before = client.getStats()
    old.emitLate('closing', { code: 'kicked', message: 'late', retryable: false })
    old.emitLate('message', {
      type: 'event',
      topic: 'room',
      id: 'm',
      seq: 1,
      epoch: 'e',
      payload: 1,
      timestamp: 0,
      from: null,
    })
    old.downLate('kicked')
    await runtime.advance(5_000)
    expect(client.status).toBe('connected')
    expect(heard).toEqual([])
    expect(server.links).toHaveLength(2)
    expect(client.getStats().connectionId).toBe(before.connectionId)
  })

  test('[C5] silence after a heartbeat: the link is dropped and a new one opened', async () => {
    const { client, server, runtime, connected } = testClient()
    const link = await connected()
    link.blackHole = true
    await runtime.advance(39_999)
    expect(link.dropped).toBe(false)
    await runtime.advance(1)
    expect(link.dropped).toBe(true)
    await runtime.advance(1_000)
    expect(client.status).toBe('connected')
    expect(server.links).toHaveLength(2)
  })

  test('[C5] the smaller heartbeat interval of both sides counts', async () => {
    for (const [mine, theirs] of [
      [10_000, 30_000],
      [30_000, 10_000],
    ] as const) {
      const { server, runtime, connected } = testClient({ heartbeatInterval: mine })
      server.welcome = { heartbeatInterval: theirs }
      const link = await connected()
      await runtime.advance(10_000)
      expect(link.sent('heartbeat')).toHaveLength(1)
      expect(link.sent('heartbeat')[0]).toHaveProperty('timestamp')
    }
  })

  test('[C4] a wake-up checks a live link with 5 s, and ends a wait', async () => {
    const { client, server, runtime, wake, connected } = testClient()
    const link = await connected()
    wake()
    expect(link.sent('heartbeat')).toHaveLength(1)
    link.blackHole = true
    await runtime.advance(5_000)
    expect(link.dropped).toBe(true)
    expect(client.status).toBe('reconnecting')
    wake()
    await runtime.settle()
    expect(server.links).toHaveLength(2)
    expect(client.status).toBe('connected')
  })

  test('[W25] closing says why; what was sent is still answered until the end', async () => {
    const { client, runtime, events, connected } = testClient()
    const link = await connected()
    const published = client.publish('room', 1, { id: 'm-1' })
    await runtime.settle()
    const [request] = link.waiting('publish')
    link.emit('closing', {
      code: 'server_closing',
      message: 'bye',
      retryable: true,
      retryAfterMs: 4_000,
    })
    const late = client.publish('room', 2, { id: 'm-2' })
    await runtime.settle()
    expect(link.sent('publish')).toHaveLength(1)
    request?.ok({
      messageId: 'm-1',
      topic: 'room',
      epoch: 'e',
      seq: 1,
      deliveredTo: 0,
      duplicate: false,
    })
    await published
    link.down()
    expect(events.at(-1)).toMatchObject({
      status: 'reconnecting',
      error: { code: 'server_closing' },
    })
    expect(events.at(-1)?.retryInMs).toBeGreaterThanOrEqual(4_000)
    expect(await outcome(late)).toBe('pending')
    void late.catch(() => undefined)
  })

  test('[W25] a link that the server does not end after closing is ended here', async () => {
    const { client, runtime, connected } = testClient()
    const link = await connected()
    link.emit('closing', { code: 'server_closing', message: 'bye', retryable: true })
    await runtime.advance(1_999)
    expect(client.status).toBe('connected')
    await runtime.advance(1)
    expect(link.dropped).toBe(true)
    expect(client.status).toBe('reconnecting')
  })

  test('[W25][C1] a final closing ends it: publishes reject with its code, connect() may go on', async () => {
    const { client, runtime, connected } = testClient()
    const link = await connected()
    const sent = client.publish('room', 1)
    await runtime.settle()
    link.emit('closing', { code: 'kicked', message: 'replaced', retryable: false })
    const waiting = client.publish('room', 2)
    link.down()
    await expect(sent).rejects.toMatchObject({ code: 'kicked', details: { outcome: 'unknown' } })
    await expect(waiting).rejects.toSatisfy(
      (error) => error instanceof RealtimeError && error.code === 'kicked' && !error.details,
    )
    expect(client.status).toBe('disconnected')
    await runtime.advance(600_000)
    expect(client.status).toBe('disconnected')
    await client.connect()
    expect(client.status).toBe('connected')
  })

  test('[C1] status listeners that throw or act in the middle break nothing', async () => {
    const { client, runtime, logs } = testClient()
    client.onConnection(() => {
      throw new Error('from a listener')
    })
    client.onConnection(({ status }) => {
      if (status === 'connected') client.disconnect()
    })
    await client.connect()
    await runtime.advance(60_000)
    expect(client.status).toBe('disconnected')
    expect(logs.filter(({ event }) => event === 'listener threw').length).toBeGreaterThan(0)
    expect(client.getStats().listenerErrors).toBeGreaterThan(0)
  })
})
