import { virtualRuntime } from '@bmt-central/realtime-protocol/testing'
import { describe, expect, test } from 'vitest'
import { connectionOf, failureOf } from '../failure.js'
import { World } from '../harness.js'
import { range, Reader } from '../reader.js'
import { until, within } from '../until.js'

const TOPIC = 'open:room'

describe('disconnect() and connect()', () => {
  test('[C8][C2][P2] subscriptions and waiting publishes are kept, and go on where they were', async () => {
    await using world = await World.start()
    const client = await world.join('ada')
    const told = connectionOf(client)
    const heard = await Reader.live(client, TOPIC)
    await client.publish(TOPIC, 'one')
    await heard.received(1)

    client.disconnect()
    expect(client.status).toBe('disconnected')
    expect(heard.subscription.state).toBe('subscribing')
    await until(() => world.service.getStats().connections === 0, 'the server to notice')
    await world.service.publish(TOPIC, 'two')
    const waiting = client.publish(TOPIC, 'three')
    expect(client.getStats()).toMatchObject({ queueSize: 1, subscriptions: 1 })

    await within(client.connect(), 'the client to connect again')
    expect(await within(waiting, 'the acknowledgement')).toMatchObject({ seq: 3 })
    await heard.received(3)
    expect(heard.payloads).toEqual(['one', 'two', 'three'])
    expect(heard.gaps).toEqual([])
    expect(told.map(({ status }) => status)).toEqual(['disconnected', 'connecting', 'connected'])
  })

  test('[C1] disconnect() while it tries ends the attempt, and nothing connects by itself', async () => {
    await using world = await World.start()
    const line = await world.line()
    line.refuse()
    const runtime = virtualRuntime()
    const client = world.client('ada', { url: line.url, runtime })
    const told = connectionOf(client)
    const connecting = failureOf(client.connect())
    await until(() => told.at(-1)?.retryInMs !== undefined, 'the first attempt to fail')
    client.disconnect()
    expect((await connecting).code).toBe('not_connected')
    line.accept()
    const before = line.attempts
    await runtime.advance(86_400_000)
    expect([line.attempts, client.status]).toEqual([before, 'disconnected'])
  })

  test('[C1][C3] attempts that are used up: `disconnected`, and how many there were', async () => {
    await using world = await World.start()
    const line = await world.line()
    const client = await world.join('ada', {
      url: line.url,
      transports: ['websocket'],
      reconnect: { maxAttempts: 2, baseMs: 100, capMs: 100 },
    })
    const told = connectionOf(client)
    line.refuse()
    line.cut()
    await until(() => client.status === 'disconnected', 'the client to give up')
    expect(told.at(-1)?.error).toMatchObject({
      code: 'not_connected',
      details: { attempts: 2 },
    })
    expect(line.attempts).toBe(3)
    line.accept()
    await within(client.connect(), 'the client to connect when it is asked to')
  })

  test('[C1] reconnecting switched off: the end of the line is the end', async () => {
    await using world = await World.start()
    const line = await world.line()
    const client = await world.join('ada', { url: line.url, reconnect: { enabled: false } })
    line.cut()
    await until(() => client.status === 'disconnected', 'the client to stop')
    expect(line.attempts).toBe(1)
  })

  test('[C1][P5] connect() takes a signal', async () => {
    await using world = await World.start()
    const line = await world.line()
    line.refuse()
    const client = world.client('ada', { url: line.url })
    const controller = new AbortController()
    const connecting = failureOf(client.connect({ signal: controller.signal }))
    await until(() => line.attempts >= 1, 'an attempt')
    controller.abort()
    expect((await connecting).code).toBe('aborted')
    expect(client.status).toBe('disconnected')
  })
})

describe('close()', () => {
  test('[C1][C8][P5] settles everything for ever, and the server sees it go', async () => {
    await using world = await World.start()
    const client = await world.join('ada')
    const heard = await Reader.live(client, TOPIC)
    const disconnected: string[] = []
    world.service.on('disconnect', ({ user }) => disconnected.push(user.userId))
    client.disconnect()
    const waiting = failureOf(client.publish(TOPIC, 'never'))
    await client.close()
    await client.close()

    expect((await waiting).code).toBe('closed')
    expect(client.status).toBe('closed')
    expect(heard.subscription.state).toBe('unsubscribed')
    expect((await failureOf(client.connect())).code).toBe('closed')
    expect((await failureOf(client.publish(TOPIC, 'never'))).code).toBe('closed')
    expect((await failureOf(client.subscribe(TOPIC).ready)).code).toBe('closed')
    await until(() => disconnected.length === 1, 'the server to notice')
    expect((await world.service.history(TOPIC)).messages).toEqual([])
  })

  test('[C8] `await using` closes it', async () => {
    await using world = await World.start()
    const ended: (string | null)[] = []
    world.service.on('disconnect', ({ code }) => ended.push(code))
    const outside = await (async () => {
      await using client = world.client('ada')
      await client.connect()
      return client
    })()
    expect(outside.status).toBe('closed')
    await until(() => ended.length === 1, 'the server to notice')
  })
})

describe('another user', () => {
  test('[C8] after a log-in, waiting publishes are rejected and never sent, positions are dropped', async () => {
    await using world = await World.start()
    const client = await world.join('ada')
    const heard = await Reader.live(client, TOPIC)
    const denied = await Reader.live(client, 'user:ada:inbox')
    await world.service.publish(TOPIC, 'for everybody')
    await heard.received(1)

    client.disconnect()
    const waiting = failureOf(client.publish(TOPIC, 'by ada'))
    await world.service.publish(TOPIC, 'while nobody was there')
    client.setToken('dev:bob')
    await within(client.connect(), 'bob to connect')

    expect(await waiting).toMatchObject({ code: 'closed' })
    expect(client.user).toMatchObject({ userId: 'bob' })
    await until(() => heard.subscribed.length === 2, 'the topic to be live for bob')
    const ack = await client.publish(TOPIC, 'by bob')
    await heard.received(2)
    // What was missed was missed by somebody else: no recovery, no gap, nothing of the past.
    expect(heard.payloads).toEqual(['for everybody', 'by bob'])
    expect(heard.gaps).toEqual([])
    expect(heard.subscribed[1]).toMatchObject({ recovered: false, replayed: 0 })
    expect(ack.seq).toBe(3)
    expect((await world.service.history(TOPIC)).messages.map(({ from }) => from)).toEqual([
      null,
      null,
      'bob',
    ])
    // What ada might read is not bob's.
    expect(denied.subscription.state).toBe('failed')
    expect(denied.errors).toMatchObject([{ code: 'permission_denied' }])
  })

  test('[C8][P2] the same user with another token: everything is kept', async () => {
    await using world = await World.start()
    const client = await world.join('ada')
    const heard = await Reader.live(client, TOPIC)
    await world.service.publish(TOPIC, 1)
    await heard.received(1)
    client.disconnect()
    const waiting = client.publish(TOPIC, 3)
    await world.service.publish(TOPIC, 2)
    client.setToken('dev:ada:editor')
    await within(client.connect(), 'ada to connect')
    await within(waiting, 'the acknowledgement')
    await heard.received(3)
    expect(heard.payloads).toEqual([1, 2, 3])
    expect(client.user).toMatchObject({ userId: 'ada', role: 'editor' })
  })
})

describe('one client object', () => {
  test('[W2][L3] its new connection takes the place of its old one, of which the server knows no end', async () => {
    await using world = await World.start({ limits: { maxConnectionsPerUser: 1 } })
    const line = await world.line()
    const client = await world.join('ada', { url: line.url })
    const heard = await Reader.live(client, TOPIC)
    const ended: (string | null)[] = []
    world.service.on('disconnect', ({ code }) => ended.push(code))
    for (const round of range(1, 3)) {
      // The server's end of the old line stays open and hears nothing.
      line.strand()
      await until(() => heard.subscribed.length === round + 1, 'the topic to be live again')
    }
    await client.publish(TOPIC, 'still me')
    await heard.received(1)
    expect(ended).toEqual(['kicked', 'kicked', 'kicked'])
    expect(heard.payloads).toEqual(['still me'])
    expect(world.service.connections()).toHaveLength(1)
  })
})
