import { describe, expect, test } from 'vitest'
import type { FakeLink } from '../testing/fake-server.js'
import { failureOf, testClient } from '../testing/test-client.js'

/** Admits these tokens, refuses all others. */
const only =
  (...good: string[]) =>
  (link: FakeLink): void =>
    queueMicrotask(() => {
      if (good.includes(link.handshake.token ?? '')) link.admit()
      else link.down('unauthenticated')
    })

test('[C6] auth() is called for every connect', async () => {
  const tokens = ['one', 'two', 'three']
  const { client, server, runtime, connected } = testClient({ auth: () => tokens.shift() ?? null })
  const link = await connected()
  link.down()
  await runtime.advance(1_000)
  client.disconnect()
  await connected()
  expect(server.links.map(({ handshake }) => handshake.token)).toEqual(['one', 'two', 'three'])
})

describe('auth() that fails', () => {
  const cases: [string, () => Promise<string>][] = [
    ['rejects', () => Promise.reject(new Error('the token service is down'))],
    [
      'throws',
      () => {
        throw new Error('the token service is down')
      },
    ],
    ['never answers', () => new Promise(() => undefined)],
    ['gives something else', () => Promise.resolve({ token: 'x' } as unknown as string)],
  ]
  test.each(cases)('[C6] where it %s, that is a failed attempt', async (_, auth) => {
    const { client, server, runtime, events } = testClient({ auth, reconnect: { maxAttempts: 1 } })
    const rejected = failureOf(client.connect())
    await runtime.advance(9_999)
    expect(client.status).not.toBe('connected')
    await runtime.advance(30_000)
    expect(await rejected).toMatchObject({ code: 'not_connected' })
    expect(server.links).toHaveLength(0)
    const error = events.find((event) => event.error !== undefined)?.error
    expect(error).toMatchObject({ code: 'not_connected', retryable: true })
    expect(error?.cause).toBeInstanceOf(Error)
  })

  test('[C6] it has 10 s', async () => {
    let answer: (token: string) => void = () => undefined
    const { client, server, runtime, events } = testClient({
      auth: () => new Promise<string>((resolve) => (answer = resolve)),
    })
    const connecting = client.connect()
    await runtime.advance(9_999)
    expect(events.at(-1)).not.toHaveProperty('error')
    await runtime.advance(1)
    expect(events.at(-1)).toMatchObject({ error: { code: 'not_connected' } })
    // What comes later belongs to an attempt that is over.
    answer('late')
    await runtime.settle()
    expect(server.links).toHaveLength(0)
    await runtime.advance(2_000)
    answer('in time')
    await connecting
    expect(server.link.handshake.token).toBe('in time')
  })
})

describe('a refused token', () => {
  test('[C6] auth() is asked once more at once', async () => {
    const tokens = ['stale', 'fresh']
    const { client, server, connected } = testClient({ auth: () => tokens.shift() ?? null })
    server.onOpen = only('fresh')
    await connected()
    expect(server.links).toHaveLength(2)
    expect(client.status).toBe('connected')
  })

  test('[C6] a string is always the same: final, until setToken()', async () => {
    const { client, server, runtime } = testClient({ auth: 'stale' })
    server.onOpen = only('fresh')
    const published = client.publish('room', 1)
    const rejected = failureOf(published)
    await expect(client.connect()).rejects.toMatchObject({ code: 'unauthenticated' })
    expect(await rejected).toMatchObject({ code: 'unauthenticated' })
    expect(client.status).toBe('disconnected')
    expect(server.links).toHaveLength(1)
    await runtime.advance(600_000)
    expect(server.links).toHaveLength(1)
    client.setToken('fresh')
    await runtime.settle()
    expect(client.status).toBe('connected')
  })

  test('[C6] connect() tries a refused string again', async () => {
    const { client, server } = testClient({ auth: 'stale' })
    server.onOpen = only('fresh')
    await expect(client.connect()).rejects.toMatchObject({ code: 'unauthenticated' })
    server.onOpen = only('stale')
    await client.connect()
    expect(client.status).toBe('connected')
  })

  test('[C6] no token at all is the same again, too', async () => {
    const { client, server } = testClient()
    server.onOpen = only('fresh')
    await expect(client.connect()).rejects.toMatchObject({ code: 'unauthenticated' })
    expect(server.links).toHaveLength(1)
  })

  test('[C6] new tokens that are all refused are tried with backoff, not in a storm', async () => {
    let count = 0
    const { client, server, runtime } = testClient({ auth: () => `stale-${(count += 1)}` })
    server.onOpen = only('fresh')
    const connecting = client.connect()
    void connecting.catch(() => undefined)
    await runtime.advance(120_000)
    expect(client.status).toBe('connecting')
    expect(server.links.length).toBeGreaterThan(3)
    expect(server.links.length).toBeLessThan(30)
  })

  test('[C6] a token that expires while connected is replaced at once', async () => {
    const tokens = ['first', 'second']
    const { client, server, runtime, connected } = testClient({
      auth: () => tokens.shift() ?? null,
    })
    const link = await connected()
    link.emit('closing', { code: 'token_expired', message: 'expired', retryable: true })
    link.down()
    await runtime.settle()
    expect(client.status).toBe('connected')
    expect(server.link.handshake.token).toBe('second')
  })

  test('[C6] an expired string is final: the server is not asked again', async () => {
    const { client, server, runtime, events, connected } = testClient({ auth: 'only' })
    const link = await connected()
    link.emit('closing', { code: 'token_expired', message: 'expired', retryable: true })
    link.down()
    await runtime.settle()
    expect(server.links).toHaveLength(1)
    expect(client.status).toBe('disconnected')
    expect(events.at(-1)).toMatchObject({ error: { code: 'token_expired' } })
  })

  test('[C6] setToken() replaces a live connection by one with the new token', async () => {
    const { client, server, runtime, connected } = testClient({ auth: 'old' })
    const link = await connected()
    client.setToken('new')
    await runtime.settle()
    expect(link.dropped).toBe(true)
    expect(client.status).toBe('connected')
    expect(server.link.handshake.token).toBe('new')
  })
})

describe('another user', () => {
  test('[C8] waiting publishes of the one before reject with closed, never sent', async () => {
    const { client, server, runtime, connected } = testClient({ auth: 'ada' })
    await connected()
    client.disconnect()
    const waiting = client.publish('room', 'from ada')
    const rejected = failureOf(waiting)
    client.setToken('grace')
    server.welcome = { user: { userId: 'grace', role: 'user', permissions: [] } }
    const link = await connected()
    expect(await rejected).toMatchObject({ code: 'closed' })
    await runtime.advance(1_000)
    expect(link.sent('publish')).toEqual([])
    expect(client.user).toMatchObject({ userId: 'grace' })
  })

  test('[C8] the same one goes on with what waits', async () => {
    const { client, connected } = testClient({ auth: 'ada' })
    await connected()
    client.disconnect()
    const waiting = client.publish('room', 'from ada')
    void waiting.catch(() => undefined)
    const link = await connected()
    expect(link.sent('publish')).toMatchObject([{ payload: 'from ada' }])
  })

  test('[C8] user and rights are known in the first status listener', async () => {
    const { client, server } = testClient()
    const users: unknown[] = []
    client.onConnection(() => users.push(client.user?.userId ?? null))
    server.welcome = { user: { userId: 'grace', role: 'user', permissions: [] } }
    await client.connect()
    expect(users).toEqual([null, 'grace'])
  })
})
