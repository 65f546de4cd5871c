import { describe, expect, test } from 'vitest'
import { acceptPublish, answerSubscribe, event, events } from '../testing/answers.js'
import { connectedEvent } from '../testing/fake-server.js'
import { failureOf, outcome, testClient, type TestClient } from '../testing/test-client.js'

/** A client with one live subscription and what it heard. */
async function subscribedTo(
  topic: string,
  seq = 0,
): Promise<TestClient & { heard: number[]; sub: ReturnType<TestClient['client']['subscribe']> }> {
  const world = testClient()
  const link = await world.connected()
  const heard: number[] = []
  const sub = world.client.subscribe(topic, (message) => heard.push(message.seq))
  await world.runtime.settle()
  answerSubscribe(link, { [topic]: { seq } })
  await sub.ready
  return Object.assign(world, { heard, sub })
}

describe('live', () => {
  test('[P1][P2] messages come once, in order; duplicates are dropped and counted', async () => {
    const { client, server, heard, sub } = await subscribedTo('room', 4)
    for (const seq of [5, 5, 6, 4, 6, 7]) server.link.emit('message', event('room', seq))
    expect(heard).toEqual([5, 6, 7])
    expect(sub.position).toEqual({ epoch: 'e', seq: 7 })
    expect(client.getStats()).toMatchObject({ received: 3, duplicates: 3, gaps: 0 })
  })

  test('[P2] the position moves before the listener is called', async () => {
    const { client, server, runtime, connected } = testClient()
    const link = await connected()
    const seen: unknown[] = []
    const sub = client.subscribe('room', () => {
      seen.push(sub.position?.seq)
      // Whatever happens inside: this one must not come again.
      link.down()
    })
    await runtime.settle()
    answerSubscribe(link)
    link.emit('message', event('room', 1))
    await runtime.advance(2_000)
    expect(server.link.sent('subscribe')).toMatchObject([
      { topics: [{ topic: 'room', since: { epoch: 'e', seq: 1 } }] },
    ])
    answerSubscribe(server.link, { room: { seq: 1, recovered: true } })
    expect(seen).toEqual([1])
  })

  test('[P1] a hole in the live flow is asked for again, not delivered out of order', async () => {
    const { server, runtime, heard, sub } = await subscribedTo('room', 1)
    const { link } = server
    link.emit('message', event('room', 4))
    link.emit('message', event('room', 5))
    await runtime.settle()
    expect(heard).toEqual([])
    expect(sub.state).toBe('subscribing')
    expect(link.sent('subscribe').at(-1)).toEqual({
      topics: [{ topic: 'room', since: { epoch: 'e', seq: 1 } }],
    })
    answerSubscribe(link, { room: { recovered: true, messages: events('room', 2, 5) } })
    link.emit('message', event('room', 6))
    expect(heard).toEqual([2, 3, 4, 5, 6])
    expect(sub.state).toBe('subscribed')
  })

  test('[P3] another epoch in the live flow is announced before the next message', async () => {
    const { server, runtime, sub, heard } = await subscribedTo('room', 7)
    const order: unknown[] = []
    sub.on('gap', (gap) => order.push(gap))
    server.link.emit('message', event('room', 1, { epoch: 'f' }))
    await runtime.settle()
    expect(heard).toEqual([])
    const gap = { from: null, to: null, epoch: 'f', reason: 'epoch_changed' } as const
    answerSubscribe(server.link, {
      room: { epoch: 'f', gap, messages: [event('room', 1, { epoch: 'f' })] },
    })
    expect(order).toEqual([gap])
    expect(heard).toEqual([1])
    expect(sub.position).toEqual({ epoch: 'f', seq: 1 })
  })

  test('[P2] what was skipped on purpose is no gap', async () => {
    const { client, server, heard, sub } = await subscribedTo('metrics', 1)
    const gaps: unknown[] = []
    sub.on('gap', (gap) => gaps.push(gap))
    server.link.emit('message', event('metrics', 9, { skipped: 7 }))
    server.link.emit('message', event('metrics', 10))
    expect(heard).toEqual([9, 10])
    expect(gaps).toEqual([])
    expect(client.getStats().gaps).toBe(0)
  })

  test('[P1] a hole that `skipped` does not explain is asked for again', async () => {
    const { server, runtime, heard } = await subscribedTo('metrics', 1)
    server.link.emit('message', event('metrics', 9, { skipped: 6 }))
    await runtime.settle()
    expect(heard).toEqual([])
    expect(server.link.waiting('subscribe')).toHaveLength(1)
  })

  test('[P11] ephemeral messages are delivered as they come', async () => {
    const { server, heard, sub, runtime } = await subscribedTo('typing', 0)
    const ephemeral = { epoch: '', seq: 0 }
    server.link.down()
    await runtime.advance(2_000)
    answerSubscribe(server.link, { typing: ephemeral })
    for (let count = 0; count < 3; count += 1) {
      server.link.emit('message', event('typing', 0, { epoch: '' }))
    }
    expect(heard).toEqual([0, 0, 0])
    expect(sub.position).toEqual(ephemeral)
    server.link.down()
    await runtime.advance(3_000)
    expect(server.link.sent('subscribe')).toEqual([{ topics: [{ topic: 'typing' }] }])
  })

  test('[W10] what arrives before the answer is not delivered: the answer has it', async () => {
    const { client, runtime, connected } = testClient()
    const link = await connected()
    const heard: number[] = []
    const sub = client.subscribe('room', (message) => heard.push(message.seq))
    await runtime.settle()
    link.emit('message', event('room', 3))
    expect(heard).toEqual([])
    answerSubscribe(link, { room: { seq: 3 } })
    link.emit('message', event('room', 4))
    expect(heard).toEqual([4])
    expect(sub.position?.seq).toBe(4)
  })

  test('[P7] messages that make no sense are logged and change nothing', async () => {
    const { server, logs, heard } = await subscribedTo('room', 1)
    for (const bad of [null, 7, {}, { topic: 'room' }, { ...event('room', 2), seq: '2' }]) {
      server.link.emit('message', bad)
    }
    server.link.emit('message', event('room', 2))
    expect(heard).toEqual([2])
    expect(logs.filter(({ event: name }) => name === 'message not understood')).toHaveLength(5)
  })
})

describe('after a loss of the connection', () => {
  test('[P2][C2] it goes on from its position, and says what was replayed', async () => {
    const { client, server, runtime, heard, sub } = await subscribedTo('room', 1)
    const told: unknown[] = []
    sub.on('subscribed', (outcomeOf) => told.push(outcomeOf))
    server.link.emit('message', event('room', 2))
    server.link.down()
    expect(sub.state).toBe('subscribing')
    await runtime.advance(2_000)
    expect(server.link.sent('subscribe')).toEqual([
      { topics: [{ topic: 'room', since: { epoch: 'e', seq: 2 } }] },
    ])
    answerSubscribe(server.link, { room: { recovered: true, messages: events('room', 3, 5) } })
    server.link.emit('message', event('room', 6))
    expect(heard).toEqual([2, 3, 4, 5, 6])
    expect(told).toEqual([{ recovered: true, replayed: 3, position: { epoch: 'e', seq: 5 } }])
    expect(client.getStats()).toMatchObject({ recoveredMessages: 3, duplicates: 0 })
  })

  test('[P2] it needs no prior traffic: the first answer carries the position', async () => {
    const { server, runtime } = await subscribedTo('quiet', 41)
    server.link.down()
    await runtime.advance(2_000)
    expect(server.link.sent('subscribe')).toMatchObject([
      { topics: [{ since: { epoch: 'e', seq: 41 } }] },
    ])
  })

  test('[P2][W10] page by page, without delivering live messages in between', async () => {
    const { server, runtime, heard, sub } = await subscribedTo('room', 0)
    server.link.down()
    await runtime.advance(2_000)
    const { link } = server
    answerSubscribe(link, { room: { recovered: true, messages: events('room', 1, 3), more: true } })
    await runtime.settle()
    expect(sub.state).toBe('subscribing')
    expect(link.sent('subscribe').at(-1)).toMatchObject({
      topics: [{ since: { epoch: 'e', seq: 3 } }],
    })
    link.emit('message', event('room', 9))
    answerSubscribe(link, { room: { recovered: true, messages: events('room', 4, 9) } })
    link.emit('message', event('room', 10))
    expect(heard).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    expect(sub.state).toBe('subscribed')
  })

  test('[W10] an empty page that is not the last one: it asks on from the given position', async () => {
    const { server, runtime } = await subscribedTo('room', 5)
    server.link.down()
    await runtime.advance(2_000)
    answerSubscribe(server.link, { room: { seq: 5, recovered: true, more: true } })
    await runtime.settle()
    expect(server.link.sent('subscribe').at(-1)).toMatchObject({
      topics: [{ since: { epoch: 'e', seq: 5 } }],
    })
  })

  test('[P3] a gap is told, with recovered: false, before the next message', async () => {
    const { client, server, runtime, sub, heard } = await subscribedTo('room', 1)
    const order: unknown[] = []
    sub.on('gap', (gap) => order.push(gap, ...heard))
    sub.on('subscribed', ({ recovered }) => order.push({ recovered }))
    server.link.down()
    await runtime.advance(2_000)
    const gap = { from: 2, to: 7, epoch: 'e', reason: 'expired' } as const
    answerSubscribe(server.link, { room: { gap, messages: events('room', 8, 9) } })
    expect(order).toEqual([gap, { recovered: false }])
    expect(heard).toEqual([8, 9])
    expect(client.getStats().gaps).toBe(1)
  })

  test('[P3] a gap on the first of several pages: the whole is not recovered', async () => {
    const { server, runtime, sub } = await subscribedTo('room', 1)
    const told: unknown[] = []
    sub.on('subscribed', (outcomeOf) => told.push(outcomeOf))
    server.link.down()
    await runtime.advance(2_000)
    const gap = { from: 2, to: 7, epoch: 'e', reason: 'expired' } as const
    answerSubscribe(server.link, { room: { gap, messages: [event('room', 8)], more: true } })
    await runtime.settle()
    answerSubscribe(server.link, { room: { recovered: true, messages: [event('room', 9)] } })
    expect(told).toEqual([{ recovered: false, replayed: 2, position: { epoch: 'e', seq: 9 } }])
  })

  test('[P3] a position ahead of the head: it takes the server’s', async () => {
    const { server, runtime, sub, heard } = await subscribedTo('room', 50)
    const gaps: unknown[] = []
    sub.on('gap', (gap) => gaps.push(gap))
    server.link.down()
    await runtime.advance(2_000)
    const gap = { from: null, to: null, epoch: 'e', reason: 'epoch_changed' } as const
    answerSubscribe(server.link, { room: { gap, messages: events('room', 1, 3) } })
    expect(gaps).toEqual([gap])
    expect(heard).toEqual([1, 2, 3])
    expect(sub.position).toEqual({ epoch: 'e', seq: 3 })
  })

  test('[P3] a page with a hole that it does not name is not passed off as whole', async () => {
    const { server, runtime, sub, heard } = await subscribedTo('room', 1)
    const gaps: unknown[] = []
    sub.on('gap', (gap) => gaps.push(gap))
    server.link.down()
    await runtime.advance(2_000)
    const messages = [event('room', 2), event('room', 5)]
    answerSubscribe(server.link, { room: { recovered: true, messages } })
    expect(heard).toEqual([2, 5])
    expect(gaps).toEqual([{ from: 3, to: 4, epoch: 'e', reason: 'expired' }])
  })

  test('[C2] in this order: status, subscriptions, outbox, heartbeat', async () => {
    const { client, server, runtime, sub, connected } = await subscribedTo('room', 1)
    client.disconnect()
    const published = client.publish('room', 'hello')
    const order: string[] = []
    client.onConnection(({ status }) => order.push(status))
    server.onRequest = ({ event: name }) => order.push(name)
    await connected()
    expect(order).toEqual(['connecting', 'connected', 'subscribe', 'publish'])
    await runtime.advance(30_000)
    expect(order.at(-1)).toBe('heartbeat')
    acceptPublish(server.link, 2)
    await published
    expect(sub.state).toBe('subscribing')
  })

  test('[C2] many topics are restored in batches of at most 100, four at once', async () => {
    const { client, server, runtime, connected } = testClient()
    const link = await connected()
    const subs = Array.from({ length: 450 }, (_, index) => client.subscribe(`room-${index}`))
    await runtime.settle()
    while (link.waiting('subscribe').length > 0) {
      answerSubscribe(link)
      await runtime.settle()
    }
    expect(subs.every(({ state }) => state === 'subscribed')).toBe(true)
    link.down()
    await runtime.advance(2_000)
    const batches = (): number[] => server.link.sent('subscribe').map(({ topics }) => topics.length)
    expect(batches()).toEqual([100, 100, 100, 100])
    answerSubscribe(server.link)
    await runtime.settle()
    expect(batches()).toEqual([100, 100, 100, 100, 50])
    while (server.link.waiting('subscribe').length > 0) answerSubscribe(server.link)
    expect(subs.every(({ state }) => state === 'subscribed')).toBe(true)
  })

  test('[C2][L7] restoring is paced by the server’s limits', async () => {
    const { client, server, runtime, connected } = testClient()
    const { limits } = connectedEvent()
    server.welcome = { limits: { ...limits, requestsPerSecond: 10, requestBurst: 20 } }
    const link = await connected()
    for (let index = 0; index < 40; index += 1) client.subscribe(`room-${index}`)
    await runtime.settle()
    const asked = (): number =>
      link.sent('subscribe').reduce((sum, { topics }) => sum + topics.length, 0)
    expect(asked()).toBe(18)
    for (let second = 0; second < 4; second += 1) {
      while (link.waiting('subscribe').length > 0) answerSubscribe(link)
      await runtime.advance(1_000)
    }
    expect(asked()).toBe(40)
  })

  test('[C2] a restore refused for now is tried again with backoff, and stays subscribing', async () => {
    const { server, runtime, sub, logs } = await subscribedTo('room', 3)
    server.link.down()
    await runtime.advance(2_000)
    const { link } = server
    const refuse = (options = {}): void => {
      const [request] = link.waiting('subscribe')
      request?.ok({
        results: [
          {
            status: 'error',
            type: 'error',
            code: 'channel_full',
            message: 'full',
            retryable: true,
            ...options,
          },
        ],
      })
    }
    refuse()
    await runtime.advance(99)
    expect(link.sent('subscribe')).toHaveLength(1)
    await runtime.advance(1_000)
    expect(link.sent('subscribe')).toHaveLength(2)
    expect(sub.state).toBe('subscribing')
    refuse({ retryAfterMs: 5_000 })
    await runtime.advance(4_999)
    expect(link.sent('subscribe')).toHaveLength(2)
    await runtime.advance(3_000)
    expect(link.sent('subscribe').at(-1)).toMatchObject({ topics: [{ since: { seq: 3 } }] })
    answerSubscribe(link, { room: { seq: 3, recovered: true } })
    expect(sub.state).toBe('subscribed')
    expect(logs.some(({ event: name }) => name.startsWith('subscribe refused'))).toBe(true)
  })

  test('[C2] the whole request refused for now: all its topics are tried again', async () => {
    const { client, runtime, connected } = testClient()
    const link = await connected()
    const subs = ['a', 'b'].map((topic) => client.subscribe(topic))
    await runtime.settle()
    link.waiting('subscribe')[0]?.refuse('rate_limited', { retryAfterMs: 100 })
    await runtime.advance(3_000)
    while (link.waiting('subscribe').length > 0) answerSubscribe(link)
    expect(subs.map(({ state }) => state)).toEqual(['subscribed', 'subscribed'])
  })

  test('[C2] a final refusal: failed, an error event, ready rejects; others are untouched', async () => {
    const { client, runtime, connected } = testClient()
    const link = await connected()
    const [good, bad] = ['good', 'bad'].map((topic) => client.subscribe(topic))
    const told: unknown[] = []
    bad?.on('error', (error) => told.push(error.code))
    bad?.on('state', (state) => told.push(state))
    await runtime.settle()
    const [request] = link.waiting('subscribe')
    const topics = request?.data.topics ?? []
    const ack = { status: 'success', topic: 'good', subscriberCount: 1, epoch: 'e', seq: 0 }
    const refused = { status: 'error', code: 'permission_denied', message: 'no', retryable: false }
    request?.ok({
      results: topics.map(({ topic }) =>
        topic === 'good' ? { ...ack, recovered: false, messages: [], more: false } : refused,
      ),
    })
    await good?.ready
    expect(await failureOf(bad?.ready ?? Promise.resolve())).toMatchObject({
      code: 'permission_denied',
    })
    expect(told).toEqual(['failed', 'permission_denied'])
    expect([good?.state, bad?.state]).toEqual(['subscribed', 'failed'])
    expect(client.getStats()).toMatchObject({ subscriptions: 1, topics: 1 })
  })

  test('[P9] ready waits for the last page', async () => {
    const { client, runtime, connected } = testClient()
    const link = await connected()
    const sub = client.subscribe('room', () => undefined, { rewind: 10 })
    await runtime.settle()
    expect(link.sent('subscribe')).toEqual([{ topics: [{ topic: 'room', rewind: 10 }] }])
    answerSubscribe(link, { room: { messages: events('room', 1, 5), more: true } })
    expect(await outcome(sub.ready)).toBe('pending')
    await runtime.settle()
    expect(link.sent('subscribe').at(-1)).toEqual({
      topics: [{ topic: 'room', since: { epoch: 'e', seq: 5 } }],
    })
    answerSubscribe(link, { room: { messages: events('room', 6, 10), recovered: true } })
    await sub.ready
    expect(sub.position?.seq).toBe(10)
  })

  test('[C8] positions of another user are dropped', async () => {
    const { client, server, runtime, sub, heard, connected } = await subscribedTo('room', 7)
    client.disconnect()
    server.welcome = { user: { userId: 'grace', role: 'user', permissions: [] } }
    await connected()
    expect(server.link.sent('subscribe')).toEqual([{ topics: [{ topic: 'room' }] }])
    answerSubscribe(server.link, { room: { epoch: 'f', seq: 2 } })
    await runtime.settle()
    expect(sub.position).toEqual({ epoch: 'f', seq: 2 })
    expect(heard).toEqual([])
  })

  test('[C8] an anonymous user is another one on each connection, and stays the same to itself', async () => {
    const { client, server, runtime, connected } = testClient()
    const anonymous = (id: number) => ({
      user: { userId: `anonymous-${id}`, role: 'anonymous', permissions: [] },
    })
    server.welcome = anonymous(1)
    const link = await connected()
    const sub = client.subscribe('room')
    const sent = failureOf(client.publish('room', 'sent'))
    await runtime.settle()
    answerSubscribe(link, { room: { seq: 3 } })
    client.disconnect()
    const waiting = client.publish('room', 'waits')
    server.welcome = anonymous(2)
    await connected()
    expect(server.link.sent('subscribe')).toMatchObject([{ topics: [{ since: { seq: 3 } }] }])
    // Its ids are remembered for the other name: a resend might come twice.
    expect(await sent).toMatchObject({ code: 'timeout', details: { outcome: 'unknown' } })
    expect(server.link.sent('publish')).toMatchObject([{ payload: 'waits' }])
    acceptPublish(server.link, 4)
    await waiting
    expect(sub.state).toBe('subscribing')
  })
})
