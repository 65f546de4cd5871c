import { describe, expect, test } from 'vitest'
import { GatedBroker } from '../testing/rig/gated-broker.js'
import { payloadsOf } from '../testing/rig/plain-client.js'
import { TestServer, turns } from '../testing/rig/test-server.js'

describe('requests', () => {
  test('[W4] one without a callback is carried out, its result dropped', async () => {
    await using server = await TestServer.start()
    const ann = await server.connect()
    ann.send('subscribe', { topic: 'a' })
    ann.send('publish', { topic: 'a', payload: 1 })
    ann.send('history', { topic: 'a' })
    ann.send('nonsense')
    expect(payloadsOf(await ann.received('a', 1))).toEqual([1])
    await ann.caughtUp()
    expect(ann.arrivals.filter(({ name }) => name.startsWith('ack:'))).toHaveLength(1)
    expect(server.service.getStats().bounds['pages']?.used).toBe(0)
  })

  test('[W5] what fails inside the server leaks nothing of it', async () => {
    const broker = new GatedBroker()
    await using server = await TestServer.start({ broker })
    const ann = await server.connect()
    broker.hold('read')
    const asked = ann.request('history', { topic: 'a', messageId: 'h1' })
    await broker.reached('read')
    broker.next('read', new Error('password'))
    expect(await asked).toEqual({
      status: 'error',
      type: 'error',
      code: 'internal_error',
      message: 'the server failed to carry out the request',
      retryable: true,
      messageId: 'h1',
    })
    expect(server.events('error')).toMatchObject([{ where: 'history' }])
    expect(server.log.some(({ fields }) => String(fields['error']).includes('password'))).toBe(true)
  })

  test('[W7] what is malformed is counted and changes nothing; the 100th within a minute ends it', async () => {
    await using server = await TestServer.start()
    const ann = await server.connect()
    for (let n = 0; n < 60; n += 1) ann.send('nonsense')
    await ann.caughtUp()
    // A minute later those are forgotten.
    await server.runtime.advance(60_000)
    for (let n = 0; n < 99; n += 1) ann.send('publish', { topic: 7 })
    await ann.caughtUp()
    expect(server.service.getStats().refused['invalid_message']).toBe(159)
    ann.send('subscribe', [])
    expect(await ann.heard('closing')).toMatchObject({
      code: 'invalid_message',
      retryable: true,
      retryAfterMs: 10_000,
    })
    await ann.heard('disconnect')
    expect(server.service.getStats()).toMatchObject({ connections: 0, channels: 0 })
  })

  test('[W8] a refusal returns the messageId, and names what was refused to the listeners', async () => {
    await using server = await TestServer.start({
      channels: [{ match: 'secret:*', subscribe: { role: 'spy' } }],
    })
    const ann = await server.connect()
    const answers = [
      await ann.request('subscribe', { topic: 'secret:1', messageId: 's1' }),
      await ann.request('subscribe', { topic: 'a::b', messageId: 's2' }),
      await ann.request('subscribe', { topic: 'secret:1', messageId: 's 3' }),
      await ann.request('subscribe', { topic: 'a' }, { messageId: 's4' }),
    ]
    expect(answers.map(({ code, messageId }) => [code, messageId])).toEqual([
      ['permission_denied', 's1'],
      ['invalid_topic', 's2'],
      ['invalid_message', undefined],
      ['invalid_message', undefined],
    ])
    expect(server.events('denied')).toMatchObject([
      { event: 'subscribe', topic: 'secret:1', userId: 'ann', rule: 'secret:*' },
      { event: 'subscribe', topic: null, rule: null },
      { code: 'invalid_message' },
      { code: 'invalid_message' },
    ])
  })

  test('[W15] a heartbeat is answered while everything else waits', async () => {
    const broker = new GatedBroker()
    await using server = await TestServer.start({ broker, limits: { maxRequestsInProgress: 1 } })
    const ann = await server.connect()
    broker.hold('publish')
    const acks = [ann.publish('a', 1), ann.publish('b', 1)]
    await broker.reached('publish')
    await server.runtime.advance(5)
    expect(await ann.request('heartbeat', { timestamp: 7, messageId: 'h' })).toEqual({
      status: 'success',
      timestamp: 7,
      serverTime: server.runtime.wallNow(),
      messageId: 'h',
    })
    expect(await ann.heard('heartbeat_ack')).toEqual({
      timestamp: 7,
      serverTime: server.runtime.wallNow(),
    })
    broker.release('publish')
    await Promise.all(acks)
  })

  test('[W11] none of a topic comes after the acknowledgement of unsubscribe', async () => {
    await using server = await TestServer.start()
    const ann = await server.connect()
    await ann.subscribe('a')
    const published = server.service.publish('a', 1)
    const left = ann.request('unsubscribe', { topic: 'a' })
    await published
    await left
    await server.service.publish('a', 2)
    await ann.caughtUp()
    const names = ann.arrivals.map(({ name }) => name)
    expect(names.lastIndexOf('message')).toBeLessThan(names.indexOf('ack:unsubscribe'))
    expect(payloadsOf(ann.messages('a'))).toEqual([1])
    expect(server.events('unsubscribe')).toEqual([
      { connectionId: server.service.connections()[0]?.connectionId, userId: 'ann', topic: 'a' },
    ])
    expect(await ann.request('unsubscribe', { topic: 'a' })).toMatchObject({ status: 'success' })
    expect(server.events('unsubscribe')).toHaveLength(1)
  })
})

describe('limits of a connection', () => {
  test('[L7] requests have a budget; a batch counts one per topic', async () => {
    await using server = await TestServer.start({
      limits: { requestBurst: 10, requestsPerSecond: 10 },
    })
    const ann = await server.connect()
    const topics = Array.from({ length: 8 }, (_, n) => ({ topic: `t${n}` }))
    expect(await ann.request('subscribe', { topics })).toMatchObject({ status: 'success' })
    expect(await ann.request('subscribe', { topics })).toMatchObject({
      code: 'rate_limited',
      retryAfterMs: 600,
    })
    expect(await ann.request('history', { topic: 'a' })).toMatchObject({ status: 'success' })
    expect(await ann.request('unsubscribe', { topic: 'a::b' })).toMatchObject({
      code: 'invalid_topic',
    })
    expect(await ann.request('unsubscribe', { topic: 'a::b' })).toMatchObject({
      code: 'rate_limited',
    })
    expect(await ann.request('heartbeat', { timestamp: 1 })).toMatchObject({
      code: 'rate_limited',
      retryAfterMs: 100,
    })
    expect(await ann.publish('t0', 1)).toMatchObject({ seq: 1 })
    await server.runtime.advance(100)
    expect(await ann.request('heartbeat', { timestamp: 1 })).toMatchObject({ status: 'success' })
  })

  test('[L4] subscriptions of a connection, also where their rules are asked side by side', async () => {
    const answers: (() => void)[] = []
    await using server = await TestServer.start({
      channels: [
        {
          match: '*',
          subscribe: () => new Promise<boolean>((resolve) => answers.push(() => resolve(true))),
        },
      ],
      limits: { maxSubscriptionsPerConnection: 2 },
    })
    const ann = await server.connect()
    const asked = ['a', 'b', 'c'].map((topic) => ann.subscribe(topic))
    await ann.caughtUp()
    for (const answer of answers.splice(0)) answer()
    const results = await Promise.all(asked)
    expect(results.map(({ code }) => code)).toEqual([
      undefined,
      undefined,
      'too_many_subscriptions',
    ])
    expect(await ann.subscribe('d')).toMatchObject({
      code: 'too_many_subscriptions',
      retryable: false,
    })
    // One that there is already takes no further place.
    const again = ann.subscribe('a')
    await ann.caughtUp()
    for (const answer of answers.splice(0)) answer()
    expect(await again).toMatchObject({ status: 'success' })
    await ann.request('unsubscribe', { topic: 'b' })
    const batch = ann.request('subscribe', { topics: [{ topic: 'c' }, { topic: 'd' }] })
    await ann.caughtUp()
    for (const answer of answers.splice(0)) answer()
    expect((await batch)['results']).toMatchObject([
      { topic: 'c', status: 'success' },
      { topic: 'd', code: 'too_many_subscriptions' },
    ])
  })

  test('[L1] subscribers of a channel, as the broker counts', async () => {
    await using server = await TestServer.start({ limits: { maxSubscribersPerChannel: 2 } })
    const [ann, bob, eve] = await Promise.all([
      server.connect(),
      server.connect({ userId: 'bob' }),
      server.connect({ userId: 'eve' }),
    ])
    await ann.subscribe('a')
    expect(await bob.subscribe('a')).toMatchObject({ subscriberCount: 2 })
    expect(await eve.subscribe('a')).toMatchObject({ code: 'channel_full', retryable: true })
    expect(await bob.subscribe('a')).toMatchObject({ subscriberCount: 2 })
    expect(await ann.publish('a', 1)).toMatchObject({ deliveredTo: 2 })
    bob.close()
    await server.told('disconnect')
    expect(await eve.subscribe('a')).toMatchObject({ subscriberCount: 2 })
  })

  test('[L15] so many requests are in progress, more wait in order', async () => {
    const broker = new GatedBroker()
    await using server = await TestServer.start({ broker, limits: { maxRequestsInProgress: 2 } })
    const ann = await server.connect()
    broker.hold('publish')
    const acks = ['a', 'b', 'c', 'd', 'e'].map((topic) => ann.publish(topic, 1))
    await ann.caughtUp()
    expect(broker.waiting('publish')).toBe(2)
    const { bounds } = server.service.getStats()
    expect([bounds['requestsInProgress']?.used, bounds['waitingRequests']?.used]).toEqual([2, 3])
    broker.next('publish')
    await acks[0]
    await broker.reached('publish', 2)
    broker.release('publish')
    expect((await Promise.all(acks)).map(({ topic }) => topic)).toEqual(['a', 'b', 'c', 'd', 'e'])
    const after = server.service.getStats().bounds
    expect([after['requestsInProgress']?.used, after['waitingRequests']?.used]).toEqual([0, 0])
  })

  test('[L15][W6] what takes no place keeps its order all the same', async () => {
    const broker = new GatedBroker()
    await using server = await TestServer.start({ broker, limits: { maxRequestsInProgress: 1 } })
    const ann = await server.connect()
    broker.hold('publish')
    const published = ann.publish('x', 1)
    const subscribed = ann.subscribe('a')
    const left = ann.request('unsubscribe', { topic: 'a' })
    await broker.reached('publish')
    await ann.caughtUp()
    expect(server.service.channels({ prefix: 'a' })).toEqual([])
    broker.release('publish')
    await Promise.all([published, subscribed, left])
    expect(server.eventNames.filter((name) => name.endsWith('subscribe'))).toEqual([
      'subscribe',
      'unsubscribe',
    ])
    expect(server.service.getStats().subscriptions).toBe(0)
  })

  test('[L15] more than both bursts can explain is refused, and memory is bounded', async () => {
    const broker = new GatedBroker()
    await using server = await TestServer.start({
      broker,
      limits: { maxRequestsInProgress: 1, publishBurst: 2, requestBurst: 3 },
    })
    const ann = await server.connect()
    broker.hold('publish')
    const acks = Array.from({ length: 8 }, (_, n) => ann.publish('a', n))
    await ann.caughtUp()
    expect(server.service.getStats().bounds['waitingRequests']?.used).toBe(5)
    broker.release('publish')
    const answers = await Promise.all(acks)
    expect(answers.map(({ seq, code }) => seq ?? code)).toEqual([
      1,
      2,
      ...Array.from({ length: 6 }, () => 'rate_limited'),
    ])
  })

  test('[L15][P7] a long backlog costs no stack', async () => {
    const broker = new GatedBroker()
    const many = 5_000
    await using server = await TestServer.start({
      broker,
      limits: { maxRequestsInProgress: 1, publishBurst: many, requestBurst: many },
    })
    const ann = await server.connect()
    broker.hold('publish')
    const acks = Array.from({ length: many }, (_, n) => ann.publish('a', n))
    await broker.reached('publish')
    await ann.caughtUp()
    broker.release('publish')
    expect(await acks[many - 1]).toMatchObject({ seq: many })
    await Promise.all(acks)
  })

  test('[L15] a connection that ends takes what waits with it', async () => {
    const broker = new GatedBroker()
    await using server = await TestServer.start({ broker, limits: { maxRequestsInProgress: 1 } })
    const ann = await server.connect()
    broker.hold('publish')
    for (let n = 0; n < 5; n += 1) ann.send('publish', { topic: 'a', payload: n })
    await broker.reached('publish')
    await ann.caughtUp()
    ann.close()
    await server.told('disconnect')
    broker.release('publish')
    await turns()
    // What had begun is published, what had not is not: nobody was promised it.
    expect((await server.service.history('a')).seq).toBe(1)
  })
})

describe('pages', () => {
  test('[L16] one page has so many messages and bytes; one larger publication goes alone', async () => {
    await using server = await TestServer.start({
      limits: { maxPageMessages: 3, maxPageBytes: 100 },
    })
    const ann = await server.connect()
    const sizes = [10, 10, 10, 10, 60, 60, 500, 10]
    for (const size of sizes) await server.service.publish('a', 'x'.repeat(size - 2))
    const { epoch } = await server.service.history('a')
    const pages: number[] = []
    for (let seq = 0, more = true; more;) {
      const answer = await ann.subscribe('a', { since: { epoch, seq } })
      const messages = answer['messages'] as { seq: number }[]
      pages.push(messages.length)
      seq = Number(answer['seq'])
      expect(messages.at(-1)?.seq).toBe(seq)
      more = answer['more'] === true
    }
    expect(pages).toEqual([3, 2, 1, 1, 1])
    const history = await ann.request('history', { topic: 'a', limit: 8 })
    expect([(history['messages'] as unknown[]).length, history['more']]).toEqual([1, true])
  })

  test('[L16] all topics of a batch share one page', async () => {
    await using server = await TestServer.start({
      limits: { maxPageMessages: 4, maxPageBytes: 1_000 },
    })
    const ann = await server.connect()
    for (const topic of ['a', 'b', 'c']) {
      for (let n = 0; n < 3; n += 1) await server.service.publish(topic, `${topic}${n}`)
    }
    const topics = ['a', 'b', 'c'].map((topic) => ({ topic, rewind: 3 }))
    const { results } = await ann.request('subscribe', { topics })
    expect(
      (results as { messages: unknown[]; more: boolean; seq: number }[]).map(
        ({ messages, more, seq }) => [messages.length, more, seq],
      ),
    ).toEqual([
      [3, false, 3],
      [1, true, 1],
      [0, true, 0],
    ])
  })

  test('[L16] at most four pages of a connection are on their way; the others wait and none is lost', async () => {
    const broker = new GatedBroker()
    await using server = await TestServer.start({ broker })
    const ann = await server.connect()
    broker.hold('read')
    const asked = Array.from({ length: 10 }, (_, n) => ann.request('history', { topic: `t${n}` }))
    await ann.caughtUp()
    expect(broker.waiting('read')).toBe(4)
    broker.next('read', new Error('one that fails gives its place back'))
    await broker.reached('read', 4)
    broker.next('read')
    await broker.reached('read', 4)
    broker.release('read')
    const answers = await Promise.all(asked)
    expect(answers.filter(({ status }) => status === 'success')).toHaveLength(9)
    expect(server.service.getStats().bounds['pages']).toMatchObject({ used: 0 })
  })

  test('[L16] for a connection that has gone nothing more is read', async () => {
    const broker = new GatedBroker()
    await using server = await TestServer.start({ broker })
    const ann = await server.connect()
    broker.hold('read')
    for (let n = 0; n < 10; n += 1) ann.send('history', { topic: `t${n}` })
    await broker.reached('read', 4)
    ann.close()
    await server.told('disconnect')
    for (let n = 0; n < 4; n += 1) broker.next('read')
    await turns()
    expect(broker.waiting('read')).toBe(0)
  })
})
