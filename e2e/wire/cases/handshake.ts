import { expect, test } from 'vitest'
import { freshName, freshTopic, type Bench } from '../plain-client.js'
import { WIRE_RULES_SHOWN } from '../server-rules.js'

const LIMIT_NAMES = [
  'maxPayloadBytes',
  'idempotencyWindowMs',
  'publishesPerSecond',
  'publishBurst',
  'publishBytesPerSecond',
  'publishBytesBurst',
  'requestsPerSecond',
  'requestBurst',
  'maxPageMessages',
]

/** [W1] [W2] [W3] [W20] */
export function handshakeCases({ target, transport, clients }: Bench): void {
  test('[W1] an ordinary client connects and stays on its transport', async () => {
    const client = await clients.connect(transport)
    expect(client.socket.io.engine.transport.name).toBe(transport)
    expect(client.socket.connected).toBe(true)
  })

  test('[W1] a client that begins with polling may upgrade while messages flow', async () => {
    const topic = freshTopic()
    const userId = freshName('user')
    const client = clients.dial(
      transport,
      { token: target.token(userId) },
      { transports: ['polling', 'websocket'] },
    )
    await client.heard('connected')
    await client.subscribe(topic)
    const publisher = await clients.connect(transport)
    for (let seq = 1; seq <= 50; seq += 1) await publisher.publish(topic, seq)
    await client.until(
      () => client.socket.io.engine.transport.name === 'websocket',
      'the upgrade to WebSocket',
    )
    await publisher.publish(topic, 51)
    const messages = await client.received(topic, 51)
    expect(messages.map(({ seq }) => seq)).toEqual(Array.from({ length: 51 }, (_, i) => i + 1))
  })

  test('[W3][W20] `connected` comes first and is complete', async () => {
    const userId = freshName('user')
    const before = Date.now()
    const client = await clients.connect(transport, { userId, role: 'tester', permissions: ['p'] })
    await client.request('heartbeat', { timestamp: 1 })
    expect(client.arrivals[0]?.name).toBe('connected')
    const { expiresAt, rules, ...connected } = client.arrivals[0]?.data ?? {}
    expect(connected).toStrictEqual({
      connectionId: expect.stringMatching(/^.+$/) as unknown,
      user: { userId, role: 'tester', permissions: ['p'] },
      protocol: 1,
      serverTime: expect.any(Number) as unknown,
      windowEpoch: expect.stringMatching(/^.+$/) as unknown,
      heartbeatInterval: expect.any(Number) as unknown,
      limits: Object.fromEntries(LIMIT_NAMES.map((name) => [name, expect.any(Number) as unknown])),
    })
    expect(['undefined', 'number']).toContain(typeof expiresAt)
    expect(connected['heartbeatInterval']).toBeGreaterThan(0)
    expect(Math.abs(Number(connected['serverTime']) - before)).toBeLessThan(60_000)
    expect(rules === null || Array.isArray(rules)).toBe(true)
  })

  test('[R8][W20] `connected.rules` are the rules in order, and nothing else of them', async () => {
    const client = await clients.connect(transport)
    const rules = client.arrivals[0]?.data['rules'] as object[]
    expect(rules.slice(0, WIRE_RULES_SHOWN.length)).toEqual(WIRE_RULES_SHOWN)
  })

  test('[W3] requests sent at once are answered after `connected`', async () => {
    const topic = freshTopic()
    const client = clients.dial(transport, { token: target.token(freshName('user')) })
    // Sent with the very packet that connects: the client has heard nothing yet.
    const answers = Promise.all([client.subscribe(topic), client.publish(topic, 'early')])
    await answers
    await client.received(topic, 1)
    expect(client.arrivals[0]?.name).toBe('connected')
    expect(client.arrivals.map(({ name }) => name).sort()).toEqual([
      'ack:publish',
      'ack:subscribe',
      'connected',
      'message',
    ])
  })

  test('[W2] without `protocol` and `client` it is protocol 1', async () => {
    const client = clients.dial(transport, { token: target.token(freshName('user')) })
    expect(await client.heard('connected')).toMatchObject({ protocol: 1 })
  })

  test.each([
    ['unauthenticated', 'a token that is none', { token: 'nonsense' }],
    ['unauthenticated', 'no token', {}],
    ['unauthenticated', 'a token that is no string', { token: { userId: 'admin' } }],
    ['protocol_unsupported', 'another protocol', { token: 'ok', protocol: 2 }],
    ['protocol_unsupported', 'a protocol that is no number', { token: 'ok', protocol: 'one' }],
  ])('[W2] %s: %s is refused by a connect_error with its data', async (code, _what, auth) => {
    const token = 'token' in auth && auth.token === 'ok' ? target.token(freshName('u')) : undefined
    const client = clients.dial(transport, { ...auth, ...(token !== undefined && { token }) })
    const { data } = await client.heard('connect_error')
    expect(data).toStrictEqual({ code, message: expect.any(String) as unknown, retryable: false })
    expect(client.arrivals.map(({ name }) => name)).not.toContain('connected')
  })

  test('[W2] a token in the query string is not read', async () => {
    const token = target.token(freshName('user'))
    const client = clients.dial(transport, {}, { query: { token } })
    const { data } = await client.heard('connect_error')
    expect(data).toMatchObject({ code: 'unauthenticated' })
  })

  test.each([
    ['a name that is too long', { name: 'x'.repeat(65), version: '1' }],
    ['a name with a line feed', { name: 'a\nb', version: '1' }],
    ['a name that is none', { name: 7, version: {} }],
    ['an instance that is none', { instance: 'short' }],
    ['a client that is none', 'curl'],
  ])('[W2] %s is dropped, and the client is admitted', async (_what, client) => {
    const plain = clients.dial(transport, { token: target.token(freshName('user')), client })
    expect(await plain.heard('connected')).toMatchObject({ protocol: 1 })
  })

  test('[W2][W25] a new connection of the same instance replaces its own old one', async () => {
    const userId = freshName('user')
    const client = { name: 'plain', version: '1', instance: freshName('instance-of-one') }
    const topic = freshTopic()
    const old = await clients.connect(transport, { userId, client }, { reconnection: true })
    await old.subscribe(topic)
    const young = await clients.connect(transport, { userId, client })
    const closing = await old.heard('closing')
    expect(closing).toStrictEqual({
      code: 'kicked',
      message: expect.any(String) as unknown,
      retryable: false,
    })
    expect(await old.heard('disconnect')).toEqual({ reason: 'io server disconnect' })
    expect(await young.subscribe(topic)).toMatchObject({ status: 'success', subscriberCount: 1 })
    await young.publish(topic, 'after')
    await young.received(topic, 1)
    expect(old.messages(topic)).toEqual([])
    // A final end keeps ordinary clients away, also one that reconnects by itself.
    expect(old.socket.active).toBe(false)
  })

  test('[W2] another user, another instance, or a short one replaces nobody', async () => {
    const instance = freshName('instance-of-many')
    const userId = freshName('user')
    const all = [
      await clients.connect(transport, { userId, client: { instance } }),
      await clients.connect(transport, { client: { instance } }),
      await clients.connect(transport, { userId, client: { instance: `${instance}2` } }),
      await clients.connect(transport, { userId, client: { instance: 'short' } }),
      await clients.connect(transport, { userId, client: { instance: 'short' } }),
      await clients.connect(transport, { userId }),
    ]
    for (const client of all) {
      expect(await client.request('heartbeat', { timestamp: 1 })).toMatchObject({ timestamp: 1 })
    }
    expect(all.flatMap((client) => client.arrivals.map(({ name }) => name))).not.toContain(
      'closing',
    )
  })
}
