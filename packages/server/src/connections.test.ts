import { decodeConnected, RealtimeError, type User } from '@bmt-central/realtime-protocol'
import { describe, expect, test } from 'vitest'
import type { Authenticate, Handshake } from './auth/authenticate.js'
import { MemoryBroker } from './broker/memory-broker.js'
import type { PlainClient } from './testing/rig/plain-client.js'
import { RawSocket } from './testing/rig/raw-socket.js'
import { authenticateAnybody, TestServer, turns } from './testing/rig/test-server.js'

const INSTANCE = 'an-instance-of-16-or-more'

/** `authenticate` that answers when a test lets it. */
function gatedAuthentication(): { authenticate: Authenticate; waiting: (() => void)[] } {
  const waiting: (() => void)[] = []
  return {
    waiting,
    authenticate: (handshake) =>
      new Promise<User>((resolve, reject) => {
        waiting.push(() => {
          try {
            resolve(authenticateAnybody(handshake))
          } catch (error) {
            reject(error instanceof Error ? error : new Error('no error'))
          }
        })
      }),
  }
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await turns(1)
}

describe('the handshake', () => {
  test('[W3][W20] `connected` comes first, also before what the application sends by itself', async () => {
    await using server = await TestServer.start({
      channels: [{ match: 'a', subscribe: 'authenticated', publish: () => true }],
      heartbeatInterval: 12_000,
      limits: { publishBurst: 77 },
    })
    server.service.io.on('connection', (socket) => socket.emit('hello', { to: socket.user.userId }))
    const expiresAt = server.runtime.wallNow() + 60_000
    const ann = await server.connect({ permissions: ['p'], expiresAt })
    await ann.heard('hello')
    expect(ann.arrivals.map(({ name }) => name).slice(0, 2)).toEqual(['connected', 'hello'])
    expect(ann.arrivals[0]?.data).toEqual({
      connectionId: ann.socket.id,
      user: { userId: 'ann', role: 'user', permissions: ['p'] },
      protocol: 1,
      serverTime: server.runtime.wallNow(),
      windowEpoch: expect.any(String) as string,
      heartbeatInterval: 12_000,
      expiresAt,
      limits: {
        maxPayloadBytes: 65_536,
        idempotencyWindowMs: 300_000,
        publishesPerSecond: 100,
        publishBurst: 77,
        publishBytesPerSecond: 1_048_576,
        publishBytesBurst: 2_097_152,
        requestsPerSecond: 100,
        requestBurst: 1_000,
        maxPageMessages: 500,
      },
      rules: [{ match: 'a', subscribe: 'authenticated', publish: 'ask' }],
    })
  })

  test('[P4][L17] `connected` says how long the broker remembers ids, by its own options and now', async () => {
    const broker = new MemoryBroker({ idempotencyWindowMs: 60_000, maxIdempotencyIds: 10 })
    await using server = await TestServer.start({ broker })
    const windowOf = async (client: PlainClient): Promise<number> =>
      decodeConnected(await client.heard('connected')).limits.idempotencyWindowMs
    const early = server.dialAs({})
    expect(await windowOf(early)).toBe(60_000)
    for (let number = 1; number <= 20; number += 1) {
      await server.runtime.advance(1_000)
      await early.publish('a', number)
    }
    const { windowMs } = await early.publish('a', 'last')
    expect(windowMs).toBeLessThan(10_000)
    // It has no acknowledgement that would say so.
    expect(await windowOf(server.dialAs({}))).toBe(windowMs)
  })

  test('[W2] a refusal carries code and retryability, and is told to the listeners', async () => {
    await using server = await TestServer.start({
      authenticate: () => {
        throw new RealtimeError('unauthenticated', 'who are you', { details: { inner: 1 } })
      },
    })
    const refused = await server.dial({}).heard('connect_error')
    expect(refused).toEqual({ message: 'who are you', code: 'unauthenticated', retryable: false })
    expect(await server.told('denied')).toMatchObject([
      { event: 'connect', code: 'unauthenticated', userId: null, topic: null },
    ])
    expect(server.events('connection')).toEqual([])
  })

  test('[W2] a foreign protocol version is refused; tokens in the query string are not read', async () => {
    const seen: Handshake[] = []
    await using server = await TestServer.start({
      authenticate: (handshake) => {
        seen.push(handshake)
        return { userId: 'ann', role: 'user' }
      },
    })
    const old = await server.dial({ protocol: 2 }).heard('connect_error')
    expect(old).toMatchObject({ code: 'protocol_unsupported', retryable: false })
    const client = { name: 'my app', version: '1.2', instance: 'too short' }
    const sneaky = server.dial({ client }, { query: { token: 'secret' } })
    await sneaky.heard('connected')
    expect(seen).toMatchObject([{ token: null, client: { version: '1.2' }, address: '127.0.0.1' }])
    expect(server.service.connections()[0]?.client).toEqual({ version: '1.2' })
  })

  test('[L9] authentication has handshakeTimeoutMs', async () => {
    const { authenticate, waiting } = gatedAuthentication()
    await using server = await TestServer.start({
      authenticate,
      limits: { handshakeTimeoutMs: 5_000 },
    })
    const ann = server.dialAs({})
    await until(() => waiting.length === 1)
    await server.runtime.advance(5_000)
    expect(await ann.heard('connect_error')).toMatchObject({ retryable: true })
    waiting[0]?.()
    await turns()
    expect(server.service.connections()).toEqual([])
    expect(server.service.getStats().bounds['connectionsOpening']?.used).toBe(0)
  })

  test('[L9] a transport on which nobody joins is ended', async () => {
    await using server = await TestServer.start({ limits: { handshakeTimeoutMs: 1 } })
    const raw = await RawSocket.open(server.url)
    // By Socket.IO's own clock, a second after the limit; Engine.IO says that it closes.
    await until(() => server.service.io.engine.clientsCount === 0)
    await turns()
    expect(raw.closed).toBe(false)
    await server.runtime.advance(1_000)
    await raw.end()
  })
})

describe('connections of one instance', () => {
  test('[W2] a new one replaces the old one of the same user, which hears that it is final', async () => {
    await using server = await TestServer.start({ limits: { maxConnectionsPerUser: 1 } })
    const old = await server.connect({ instance: INSTANCE })
    await old.subscribe('a')
    const fresh = await server.connect({ instance: INSTANCE })
    expect(await old.heard('closing')).toMatchObject({ code: 'kicked', retryable: false })
    expect(await old.heard('disconnect')).toEqual({ reason: 'io server disconnect' })
    expect(server.service.connections()).toMatchObject([{ connectionId: fresh.socket.id }])
    expect(server.service.channels()).toMatchObject([{ name: 'a', subscribers: 0 }])
    expect(await server.told('disconnect')).toMatchObject([{ code: 'kicked' }])
    // The end of the old one has not made room for a third that is nobody's successor.
    expect(await server.dialAs({}).heard('connect_error')).toMatchObject({
      code: 'too_many_connections',
    })
    const third = await server.connect({ instance: INSTANCE })
    await fresh.heard('disconnect')
    expect(server.service.connections()).toMatchObject([{ connectionId: third.socket.id }])
  })

  test('[W2] one of an earlier link that is admitted late goes itself', async () => {
    const { authenticate, waiting } = gatedAuthentication()
    await using server = await TestServer.start({ authenticate })
    const old = server.dialAs({ instance: INSTANCE, attempt: 1 })
    await until(() => waiting.length === 1)
    const fresh = server.dialAs({ instance: INSTANCE, attempt: 3 })
    await until(() => waiting.length === 2)
    waiting.pop()?.()
    await fresh.heard('connected')
    waiting.pop()?.()
    expect(await old.heard('closing')).toMatchObject({ code: 'kicked', retryable: false })
    await fresh.caughtUp()
    expect(server.service.connections()).toMatchObject([{ connectionId: fresh.socket.id }])
    // The later one is still the one that the next replaces.
    const next = server.dialAs({ instance: INSTANCE, attempt: 4 })
    await until(() => waiting.length === 1)
    waiting.pop()?.()
    expect(await fresh.heard('closing')).toMatchObject({ code: 'kicked' })
    await next.heard('connected')
  })

  test('[W2] the same instance of another user replaces nobody', async () => {
    await using server = await TestServer.start()
    await server.connect({ instance: INSTANCE })
    await server.connect({ userId: 'eve', instance: INSTANCE })
    expect(server.service.connections()).toHaveLength(2)
  })

  test('[W2] while the new one is not admitted, the old one stays', async () => {
    const { authenticate, waiting } = gatedAuthentication()
    await using server = await TestServer.start({ authenticate })
    const old = server.dialAs({ instance: INSTANCE })
    await until(() => waiting.length === 1)
    waiting.shift()?.()
    await old.heard('connected')
    const fresh = server.dialAs({ instance: INSTANCE })
    await until(() => waiting.length === 1)
    await old.caughtUp()
    fresh.close()
    await until(() => server.service.io.engine.clientsCount === 1)
    waiting.shift()?.()
    await turns()
    await old.caughtUp()
    expect(server.service.connections()).toHaveLength(1)
  })
})

describe('places', () => {
  test('[L3] of the server and of a user', async () => {
    await using server = await TestServer.start({
      limits: { maxConnections: 3, maxConnectionsPerUser: 2 },
    })
    const ann = await server.connect()
    await server.connect()
    expect(await server.dialAs({}).heard('connect_error')).toMatchObject({
      code: 'too_many_connections',
      retryable: true,
      message: 'user ann has the maximum of 2 connections',
    })
    await server.connect({ userId: 'bob' })
    expect(await server.dialAs({ userId: 'eve' }).heard('connect_error')).toMatchObject({
      code: 'too_many_connections',
      message: 'this server has its maximum of 3 connections',
    })
    ann.close()
    await server.told('disconnect')
    await server.connect({ userId: 'eve' })
  })

  test('[L3] those that are still being admitted count', async () => {
    const { authenticate, waiting } = gatedAuthentication()
    await using server = await TestServer.start({ authenticate, limits: { maxConnections: 2 } })
    const clients = [1, 2, 3].map((n) => server.dialAs({ userId: `u${n}` }))
    await until(() => waiting.length === 3)
    for (const answer of waiting.splice(0)) answer()
    await until(() => server.events('denied').length + server.events('connection').length === 3)
    expect(server.deniedCodes).toEqual(['too_many_connections'])
    expect(clients).toHaveLength(3)
    expect(server.service.getStats().bounds['connectionsOpening']?.used).toBe(0)
  })

  test('[L3] places of those who go before they are in come back', async () => {
    const { authenticate, waiting } = gatedAuthentication()
    await using server = await TestServer.start({ authenticate, limits: { maxConnections: 1 } })
    for (let n = 0; n < 3; n += 1) {
      const gone = server.dialAs({})
      await until(() => waiting.length === 1)
      gone.close()
      await until(() => server.service.io.engine.clientsCount === 0)
      waiting.shift()?.()
      await turns()
    }
    expect(server.service.getStats().bounds['connectionsOpening']?.used).toBe(0)
    const last = server.dialAs({})
    await until(() => waiting.length === 1)
    waiting.shift()?.()
    await last.heard('connected')
  })

  test('[L3] a place comes back where a middleware of the application’s refuses', async () => {
    await using server = await TestServer.start({ limits: { maxConnections: 1 } })
    server.service.io.use((socket, next) => {
      next(socket.user.userId === 'eve' ? new Error('not you') : undefined)
    })
    const eve = server.dialAs({ userId: 'eve' })
    expect(await eve.heard('connect_error')).toEqual({ message: 'not you' })
    eve.socket.io.engine.close()
    await until(() => server.service.getStats().bounds['connectionsOpening']?.used === 0)
    await server.connect()
    expect(server.service.connections()).toHaveLength(1)
  })
})

describe('the end of a token', () => {
  test('[P10] ends the connection, which may come back', async () => {
    await using server = await TestServer.start()
    const now = server.runtime.wallNow()
    const ann = await server.connect({ expiresAt: now + 60_000 })
    await ann.subscribe('a')
    await server.runtime.advance(59_999)
    await ann.caughtUp()
    await server.runtime.advance(1)
    expect(await ann.heard('closing')).toMatchObject({ code: 'token_expired', retryable: true })
    expect(await ann.heard('disconnect')).toEqual({ reason: 'transport close' })
    expect(server.service.getStats()).toMatchObject({ connections: 0, subscriptions: 0 })
    expect(server.eventNames.slice(0, 2)).toEqual(['connection', 'channel_open'])
  })

  test('[P10] holds where the clock is set back and forth', async () => {
    await using server = await TestServer.start()
    const now = server.runtime.wallNow()
    const ann = await server.connect({ expiresAt: now + 60_000 })
    server.runtime.setWall(now - 30_000)
    await server.runtime.advance(89_999)
    await ann.caughtUp()
    await server.runtime.advance(1)
    await ann.heard('closing')

    const bob = await server.connect({ userId: 'bob', expiresAt: server.runtime.wallNow() + 1e9 })
    server.runtime.setWall(now + 2e9)
    // No timer of his fires: the sweep finds him.
    await server.runtime.advance(60_000)
    expect(await bob.heard('closing')).toMatchObject({ code: 'token_expired' })
  })

  test('[P10] holds for any `exp` up to the year 9999, and never ends anything early', async () => {
    await using server = await TestServer.start({ limits: { staleAfterMs: 2 ** 50 } })
    const expiresAt = 253_402_300_799_000
    const ann = await server.connect({ expiresAt })
    await server.runtime.advance(24 * 60 * 60_000)
    await ann.caughtUp()
    // Set, not waited for: a sweep a minute for 8,000 years is too many.
    server.runtime.setWall(expiresAt - 60_000)
    await server.runtime.advance(59_999)
    await ann.caughtUp()
    await server.runtime.advance(60_000)
    expect(await ann.heard('closing')).toMatchObject({ code: 'token_expired' })
  })

  test('[P10] leaves no timer behind where the connection ends earlier', async () => {
    await using server = await TestServer.start()
    const before = server.runtime.pendingTimers
    const ann = await server.connect({ expiresAt: server.runtime.wallNow() + 60_000 })
    expect(server.runtime.pendingTimers).toBe(before + 1)
    ann.close()
    await until(() => server.service.io.engine.clientsCount === 0)
    await server.runtime.advance(1_000)
    expect(server.runtime.pendingTimers).toBe(before)
  })
})

describe('silence', () => {
  test('[L10] ends a connection, and any packet of Engine.IO breaks it', async () => {
    await using server = await TestServer.start({
      limits: { staleAfterMs: 90_000, sweepIntervalMs: 30_000 },
    })
    const quiet = await server.connect()
    const lively = await server.connect({ userId: 'bob' })
    await server.runtime.advance(60_000)
    await lively.caughtUp()
    await server.runtime.advance(59_999)
    expect(server.service.connections()).toHaveLength(2)
    await server.runtime.advance(1)
    expect(await quiet.heard('closing')).toMatchObject({ code: 'stale', retryable: true })
    expect(server.service.connections({ userId: 'bob' })).toHaveLength(1)
    expect(server.service.connections({ userId: 'ann' })).toEqual([])
  })

  test('[L10] by call, with a time of one’s own; gives how many', async () => {
    await using server = await TestServer.start()
    await server.connect()
    await server.connect()
    await server.runtime.advance(1_000)
    expect(server.service.cleanupStaleConnections()).toBe(0)
    expect(server.service.cleanupStaleConnections(1_000)).toBe(0)
    expect(server.service.cleanupStaleConnections(999)).toBe(2)
    expect(server.service.getStats().connections).toBe(0)
    expect(() => server.service.cleanupStaleConnections(Number.NaN)).toThrow('timeoutMs')
  })
})

describe('listeners that act', () => {
  test('[P7] one that closes the service from within leaves nothing', async () => {
    const server = await TestServer.start()
    server.service.on('connection', () => void server.service.close())
    const ann = server.dialAs({ expiresAt: server.runtime.wallNow() + 60_000 })
    expect(await ann.heard('closing')).toMatchObject({ code: 'server_closing' })
    await ann.heard('disconnect')
    await server.service.close()
    await server.runtime.advance(1_000)
    expect(server.runtime.pendingTimers).toBe(0)
  })
})
