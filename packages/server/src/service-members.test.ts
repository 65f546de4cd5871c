import { request } from 'node:http'
import { describe, expect, test } from 'vitest'
import { devAuth } from './auth/dev.js'
import { TestServer } from './testing/rig/test-server.js'

describe('what the service knows', () => {
  test('connections() are the live ones, as copies', async () => {
    await using server = await TestServer.start()
    const instance = 'an-instance-of-16-or-more'
    const ann = await server.connect({ permissions: ['p'], instance })
    await server.connect({ userId: 'bob' }, { transports: ['polling'] })
    await server.runtime.advance(5_000)
    await ann.subscribe('a')
    const [first, second] = server.service.connections()
    const now = server.runtime.wallNow()
    expect(first).toEqual({
      connectionId: ann.socket.id,
      user: { userId: 'ann', role: 'user', permissions: ['p'] },
      connectedAt: now - 5_000,
      lastActivity: now,
      subscribedChannels: ['a'],
      address: '127.0.0.1',
      transport: 'websocket',
      client: { instance },
      waitingBytes: expect.any(Number) as number,
    })
    expect(second).toMatchObject({ transport: 'polling', lastActivity: now - 5_000 })
    expect(server.service.connections({ userId: 'bob' })).toEqual([second])
    expect(server.service.connections({ userId: 'eve' })).toEqual([])
    // Nobody gets rights by changing what was given out.
    Object.assign(first?.user ?? {}, { role: 'admin' })
    ;(first?.user.permissions as string[] | undefined)?.push('private_channel_access')
    expect(server.service.connections()[0]?.user).toEqual({
      userId: 'ann',
      role: 'user',
      permissions: ['p'],
    })
  })

  test('channels() and getStats() count subscribers and messages', async () => {
    await using server = await TestServer.start()
    const [ann, bob] = [await server.connect(), await server.connect({ userId: 'bob' })]
    const createdAt = server.runtime.wallNow()
    await ann.subscribe('room:1')
    await bob.subscribe('room:1')
    await ann.publish('room:1', 1)
    await ann.publish('room:2', 1)
    await server.service.publish('room:2', 2)
    await bob.publish('b::c', 1)
    await server.runtime.advance(1_234)
    const one = { name: 'room:1', subscribers: 2, messageCount: 1, createdAt }
    const two = { name: 'room:2', subscribers: 0, messageCount: 2, createdAt }
    expect(server.service.channels()).toEqual([one, two])
    expect(server.service.channels({ prefix: 'room:2' })).toEqual([two])
    expect(server.service.getStats()).toMatchObject({
      connections: 2,
      channels: 2,
      totalMessages: 3,
      channelDetails: [two, one],
      publishedTotal: 3,
      deliveredTotal: 2,
      subscriptions: 2,
      users: 2,
      uptimeMs: 1_234,
      refused: { invalid_topic: 1 },
    })
    expect(server.service.getStats({ channelDetails: 1 }).channelDetails).toEqual([two])
    expect(server.service.getStats().bounds).toMatchObject({
      connections: { used: 2, cap: 50_000 },
      topics: { used: 2, cap: 100_000 },
      retainedBytes: { used: expect.any(Number) as number, cap: 268_435_456 },
      idempotencyIds: { used: 3, cap: 1_000_000 },
    })
    server.service.cleanupEmptyChannels()
    expect(server.service.getStats()).toMatchObject({ totalMessages: 1, publishedTotal: 3 })
  })

  test('[L12] an empty channel goes after its time, or by call; its stream stays', async () => {
    await using server = await TestServer.start({
      limits: { emptyChannelTtlMs: 60_000, sweepIntervalMs: 10_000 },
    })
    const ann = await server.connect()
    await ann.subscribe('a')
    await ann.publish('a', 1)
    expect(server.service.cleanupEmptyChannels()).toBe(0)
    await ann.request('unsubscribe', { topic: 'a' })
    await server.runtime.advance(59_000)
    expect(server.service.channels()).toMatchObject([{ name: 'a', messageCount: 1 }])
    await server.runtime.advance(11_000)
    expect(server.service.channels()).toEqual([])
    expect(await ann.subscribe('a', { rewind: 1 })).toMatchObject({ seq: 1 })
    await ann.request('unsubscribe', { topic: 'a' })
    expect(server.service.cleanupEmptyChannels()).toBe(1)
    expect(server.events('channel_open')).toEqual([{ topic: 'a' }, { topic: 'a' }])
    expect(server.events('channel_empty')).toEqual([{ topic: 'a' }, { topic: 'a' }])
  })

  test('on() tells of everything that is decided, without payloads or tokens', async () => {
    await using server = await TestServer.start({
      channels: [
        { match: 'secret', publish: 'nobody' },
        { match: '*', subscribe: 'anyone', publish: 'anyone' },
      ],
    })
    const ann = await server.connect()
    await ann.subscribe('a')
    await ann.publish('a', 'the payload', { messageId: 'm1' })
    await ann.publish('secret', 'the payload')
    await ann.subscribe('a', { since: { epoch: 'gone', seq: 7 } })
    await ann.request('unsubscribe', { topic: 'a' })
    ann.close()
    await server.told('disconnect')
    expect(server.eventNames).toEqual([
      'connection',
      'channel_open',
      'subscribe',
      'publish',
      'denied',
      'subscribe',
      'channel_empty',
      'unsubscribe',
      'disconnect',
    ])
    const connectionId = server.events('connection')[0]?.connectionId
    expect(server.events('subscribe')).toMatchObject([
      { connectionId, userId: 'ann', topic: 'a', recovered: false, replayed: 0, gap: null },
      { recovered: false, replayed: 1, more: false, gap: { reason: 'epoch_changed' } },
    ])
    expect(server.events('publish')).toMatchObject([
      { topic: 'a', id: 'm1', seq: 1, from: 'ann', deliveredTo: 1 },
    ])
    expect(server.events('denied')).toMatchObject([
      {
        connectionId,
        event: 'publish',
        topic: 'secret',
        code: 'permission_denied',
        rule: 'secret',
      },
    ])
    expect(server.events('disconnect')).toMatchObject([
      { connectionId, code: null, reason: 'client namespace disconnect', subscribedChannels: [] },
    ])
    expect(JSON.stringify([server.log, server.eventNames])).not.toContain('the payload')
  })
})

describe('Socket.IO underneath', () => {
  test('[W7] events of the application’s own reach its listeners, and nobody else’s do', async () => {
    await using server = await TestServer.start({ events: { own: ['cursor'] } })
    const heard: unknown[] = []
    server.service.io.on('connection', (socket) => {
      socket.on('cursor', (at: unknown, answer: (text: string) => void) => {
        heard.push([socket.user.userId, at])
        answer('seen')
      })
      socket.on('publish', () => heard.push('never'))
    })
    const ann = await server.connect()
    expect(await ann.request('cursor', { x: 1 })).toBe('seen')
    await ann.publish('a', 1)
    expect(await ann.request('pointer', { x: 1 })).toMatchObject({ code: 'invalid_message' })
    expect(heard).toEqual([['ann', { x: 1 }]])
  })

  test('`socket.user` is the user that was authenticated', async () => {
    await using server = await TestServer.start({
      authenticate: () => ({ userId: 'ann', role: 'user', tenant: 't1' }),
    })
    await server.connect()
    const [socket] = await server.service.io.fetchSockets()
    const local = server.service.io.sockets.sockets.get(socket?.id ?? '')
    expect(local?.user).toEqual({ userId: 'ann', role: 'user', permissions: [], tenant: 't1' })
  })
})

describe('where a connection comes from', () => {
  test('[L3] X-Forwarded-For names the address only where the proxy is trusted, and its last entry counts', async () => {
    for (const [trustProxy, address] of [
      [false, '127.0.0.1'],
      [true, '10.0.0.9'],
    ] as const) {
      await using server = await TestServer.start({ trustProxy })
      await server.connect({}, { extraHeaders: { 'X-Forwarded-For': 'evil.example, 10.0.0.9' } })
      expect(server.service.connections()[0]?.address).toBe(address)
    }
  })

  const pages = [
    ['the same host', 'http://SELF', true],
    ['one that is listed', 'https://app.example.com', true],
    ['the same in capitals', 'HTTPS://APP.example.com', true],
    ['another port of it', 'https://app.example.com:8443', false],
    ['another scheme of it', 'http://app.example.com', false],
    ['another site', 'https://evil.example', false],
    ['one that begins alike', 'https://app.example.com.evil.example', false],
    ['a sandboxed page', 'null', false],
    ['no page at all', undefined, true],
  ] as const

  test.each(pages)('[W9] %s, polling: %s → %s', async (_name, origin, admitted) => {
    await using server = await TestServer.start({ cors: { origin: 'https://app.example.com' } })
    const { host } = new URL(server.url)
    const headers = origin === undefined ? {} : { Origin: origin.replace('SELF', host) }
    const answer = await get(`${server.url}/socket.io/?EIO=4&transport=polling`, headers)
    expect(answer.status).toBe(admitted ? 200 : 403)
    const listed = origin === 'https://app.example.com'
    expect(answer.headers['access-control-allow-origin']).toBe(listed ? origin : undefined)
  })

  test.each(pages)('[W9] %s, WebSocket: %s → %s', async (_name, origin, admitted) => {
    await using server = await TestServer.start({ cors: { origin: ['https://app.example.com'] } })
    const { host } = new URL(server.url)
    const client = server.dialAs(
      {},
      origin === undefined ? {} : { extraHeaders: { Origin: origin.replace('SELF', host) } },
    )
    await client.heard(admitted ? 'connected' : 'connect_error')
    expect(server.service.connections()).toHaveLength(admitted ? 1 : 0)
  })

  test('[W9] a session that a foreign page has learnt of is of no use to it', async () => {
    await using server = await TestServer.start()
    const base = `${server.url}/socket.io/?EIO=4&transport=polling`
    const opened = await get(base, {})
    const { sid } = JSON.parse(opened.body.slice(1)) as { sid: string }
    const foreign = await get(`${base}&sid=${sid}`, { Origin: 'https://evil.example' })
    expect([foreign.status, JSON.parse(foreign.body)]).toEqual([
      403,
      { code: 4, message: 'this origin is not allowed' },
    ])
    expect((await get(`${base}&sid=${sid}x`, {})).status).toBe(400)
  })

  test('[W9] under devAuth a foreign Host is refused, whatever Origin says', async () => {
    await using server = await TestServer.start({ authenticate: devAuth() })
    const path = `${server.url}/socket.io/?EIO=4&transport=polling`
    expect((await get(path, { Host: 'rebound.example' })).status).toBe(403)
    expect(
      (await get(path, { Host: 'rebound.example', Origin: 'http://rebound.example' })).status,
    ).toBe(403)
    expect((await get(path, { Host: 'localhost:3000' })).status).toBe(200)
  })

  test('the path is free to choose; other requests are answered by nobody', async () => {
    await using server = await TestServer.start({ path: '/live/rt' })
    await server.connect({}, { path: '/live/rt' })
    expect((await get(`${server.url}/socket.io/?EIO=4&transport=polling`, {})).status).toBe(404)
  })
})

/** A GET with any header, which `fetch` does not allow. */
function get(
  url: string,
  headers: Record<string, string>,
): Promise<{ status: number; headers: Record<string, unknown>; body: string }> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { headers, agent: false }, (response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => (body += chunk))
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body }),
      )
    })
    sent.on('error', reject)
    sent.end()
  })
}
