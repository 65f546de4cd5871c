import { describe, expect, test } from 'vitest'
import { GatedBroker, type Gate } from '../testing/rig/gated-broker.js'
import { payloadsOf, type Fields, type PlainClient } from '../testing/rig/plain-client.js'
import { TestServer, turns } from '../testing/rig/test-server.js'

async function startGated(): Promise<{ server: TestServer; broker: GatedBroker }> {
  const broker = new GatedBroker()
  return { server: await TestServer.start({ broker }), broker }
}

/** All payloads of a topic that a client has, from one answer on. */
function told(answer: Fields, client: PlainClient): unknown[] {
  return [...payloadsOf(answer['messages']), ...payloadsOf(client.messages('a'))]
}

describe('a subscribe while others publish', () => {
  test.each<[Gate, number[]]>([
    ['subscribers', [1, 2]],
    ['subscribers-answer', [1, 2]],
    ['read', [1, 2]],
    ['read-answer', [1, 2]],
  ])('[P2][W10] what is appended while %s waits comes once and in order', async (gate) => {
    const { server, broker } = await startGated()
    await using _ = server
    const ann = await server.connect()
    await server.service.publish('a', 1)
    const { epoch } = await server.service.history('a')
    broker.hold(gate)
    const subscribed = ann.subscribe('a', { since: { epoch, seq: 0 } })
    await broker.reached(gate)
    await server.service.publish('a', 2)
    broker.release(gate)
    const answer = await subscribed
    expect(answer).toMatchObject({ status: 'success', recovered: true, more: false })
    await server.service.publish('a', 3)
    await ann.until(() => told(answer, ann).length >= 3, 'three publications')
    await ann.caughtUp()
    expect(told(answer, ann)).toEqual([1, 2, 3])
    const last = payloadsOf(answer['messages']).at(-1)
    expect(answer['seq']).toBe(last)
  })

  test('[P2][P9] without `since` it begins exactly behind the position that the answer says', async () => {
    const { server, broker } = await startGated()
    await using _ = server
    const ann = await server.connect()
    broker.hold('subscribers', 'subscribers-answer')
    const subscribed = ann.subscribe('a')
    await broker.reached('subscribers')
    await server.service.publish('a', 1)
    broker.release('subscribers')
    await broker.reached('subscribers-answer')
    await server.service.publish('a', 2)
    broker.release('subscribers-answer')
    expect(await subscribed).toMatchObject({ seq: 1, recovered: false, messages: [] })
    expect(payloadsOf(await ann.received('a', 1))).toEqual([2])
    await ann.caughtUp()
    expect(payloadsOf(ann.messages('a'))).toEqual([2])
  })

  test('[P2] announcements that come after the page which has them already are not repeated', async () => {
    const { server, broker } = await startGated()
    await using _ = server
    const ann = await server.connect()
    broker.hold('announcement')
    await server.service.publish('a', 1)
    await server.service.publish('a', 2)
    const { epoch } = await server.service.history('a')
    const answer = await ann.subscribe('a', { since: { epoch, seq: 0 } })
    broker.release('announcement')
    await server.service.publish('a', 3)
    await ann.received('a', 1)
    await ann.caughtUp()
    expect(told(answer, ann)).toEqual([1, 2, 3])
  })

  test('[W10] no message comes before the acknowledgement', async () => {
    const { server, broker } = await startGated()
    await using _ = server
    const ann = await server.connect()
    broker.hold('subscribers-answer')
    const subscribed = ann.subscribe('a')
    await broker.reached('subscribers-answer')
    await server.service.publish('a', 1)
    await turns()
    broker.release('subscribers-answer')
    await subscribed
    await ann.received('a', 1)
    const names = ann.arrivals.map(({ name }) => name)
    expect(names.indexOf('message')).toBeGreaterThan(names.indexOf('ack:subscribe'))
  })

  test('[W10][P7] more than may wait makes it page on: no hole, and memory is bounded', async () => {
    const { server, broker } = await startGated()
    await using _ = server
    const ann = await server.connect()
    const { epoch } = await server.service.history('a')
    broker.hold('read-answer')
    const subscribed = ann.subscribe('a', { since: { epoch, seq: 0 } })
    await broker.reached('read-answer')
    for (let n = 1; n <= 1_001; n += 1) await server.service.publish('a', n)
    broker.release('read-answer')
    const answer = await subscribed
    // 1 fell out of the history meanwhile, but nobody was told yet that it missed anything.
    expect(answer).toMatchObject({ more: true, seq: 0, messages: [] })
    await server.service.publish('a', 1_002)
    await ann.caughtUp()
    expect(ann.messages('a')).toEqual([])
    const next = await ann.subscribe('a', { since: { epoch, seq: 0 } })
    expect(next).toMatchObject({ gap: { from: 1, to: 2 }, more: true })
    expect(payloadsOf(next['messages'])[0]).toBe(3)
  })

  test('[W10] the same between the page and the answer of a batch, in which others still join', async () => {
    const { server, broker } = await startGated()
    await using _ = server
    const ann = await server.connect()
    broker.hold('subscribers-answer')
    const batch = ann.request('subscribe', { topics: [{ topic: 'a' }, { topic: 'b' }] })
    await broker.reached('subscribers-answer')
    broker.next('subscribers-answer')
    await broker.reached('subscribers-answer')
    for (let n = 1; n <= 1_001; n += 1) await server.service.publish('a', n)
    broker.release('subscribers-answer')
    const { results } = await batch
    expect(results).toMatchObject([
      { topic: 'a', more: true, seq: 0 },
      { topic: 'b', more: false },
    ])
    await server.service.publish('a', 0)
    await server.service.publish('b', 'b')
    await ann.received('b', 1)
    expect(ann.messages('a')).toEqual([])
  })
})

describe('a repeated subscribe', () => {
  test('[W10][P2] of a live subscription loses and repeats nothing', async () => {
    const { server, broker } = await startGated()
    await using _ = server
    const ann = await server.connect()
    const first = await ann.subscribe('a')
    await server.service.publish('a', 1)
    await ann.received('a', 1)
    broker.hold('subscribers-answer')
    const again = ann.subscribe('a')
    await broker.reached('subscribers-answer')
    await server.service.publish('a', 2)
    broker.release('subscribers-answer')
    expect(await again).toMatchObject({ subscriberCount: 1, seq: 1, more: false })
    await server.service.publish('a', 3)
    await ann.received('a', 3)
    await ann.caughtUp()
    expect(told(first, ann)).toEqual([1, 2, 3])
    expect(server.service.channels()).toMatchObject([{ name: 'a', subscribers: 1 }])
  })

  test('[W10] what was appended but not announced yet still follows as a message', async () => {
    const { server, broker } = await startGated()
    await using _ = server
    const ann = await server.connect()
    await ann.subscribe('a')
    broker.hold('announcement')
    await server.service.publish('a', 1)
    expect(await ann.subscribe('a')).toMatchObject({ seq: 0 })
    broker.release('announcement')
    expect(payloadsOf(await ann.received('a', 1))).toEqual([1])
  })

  test('[P8] that the rules refuse by now ends the subscription', async () => {
    let allowed = true
    await using server = await TestServer.start({
      channels: [{ match: 'a', subscribe: () => allowed }],
    })
    const ann = await server.connect()
    await ann.subscribe('a')
    allowed = false
    expect(await ann.subscribe('a')).toMatchObject({ code: 'permission_denied' })
    await server.service.publish('a', 1)
    await ann.caughtUp()
    expect(ann.messages('a')).toEqual([])
    expect(server.events('unsubscribe')).toMatchObject([{ topic: 'a', userId: 'ann' }])
    expect(server.service.getStats().subscriptions).toBe(0)
  })

  test('[P7] that a rule cannot be asked about leaves it as it is', async () => {
    let works = true
    await using server = await TestServer.start({
      channels: [
        {
          match: 'a',
          subscribe: () => {
            if (works) return true
            throw new Error('the database is away')
          },
        },
      ],
    })
    const ann = await server.connect()
    await ann.subscribe('a')
    works = false
    expect(await ann.subscribe('a')).toMatchObject({ code: 'internal_error', retryable: true })
    await server.service.publish('a', 1)
    expect(payloadsOf(await ann.received('a', 1))).toEqual([1])
  })

  test('[W10] that the broker cannot answer ends it, so that no half-live one is left', async () => {
    const { server, broker } = await startGated()
    await using _ = server
    const ann = await server.connect()
    await ann.subscribe('a')
    broker.hold('read')
    const again = ann.subscribe('a', { rewind: 1 })
    await broker.reached('read')
    broker.next('read', new Error('lost the link'))
    expect(await again).toMatchObject({ code: 'internal_error', message: /failed/u })
    expect(server.service.getStats().subscriptions).toBe(0)
    expect(server.events('error')).toMatchObject([{ where: 'subscribe' }])
  })

  test.each([
    ['live, live', {}, {}, [false, false]],
    ['paging, live', { rewind: 3 }, {}, [true, false]],
    ['live, paging', {}, { rewind: 3 }, [false, true]],
    ['paging, paging', { rewind: 3 }, { rewind: 3 }, [true, true]],
  ])('[W10] in one batch with the first (%s): the last decides', async (_n, first, last, more) => {
    await using server = await TestServer.start({ limits: { maxPageMessages: 2 } })
    const ann = await server.connect()
    for (let n = 1; n <= 3; n += 1) await server.service.publish('a', n)
    const topics = [{ topic: 'a', ...first }, { topic: 'b' }, { topic: 'a', ...last }]
    const { results } = await ann.request('subscribe', { topics })
    expect(results).toMatchObject([{ more: more[0] }, { more: false }, { more: more[1] }])
    await server.service.publish('a', 4)
    await ann.caughtUp()
    expect(payloadsOf(ann.messages('a'))).toEqual(more[1] === true ? [] : [4])
    expect(server.service.channels({ prefix: 'a' })).toMatchObject([{ subscribers: 1 }])
  })
})

describe('a connection that ends meanwhile', () => {
  test.each<Gate>(['subscribers', 'subscribers-answer', 'read', 'read-answer'])(
    '[P7] while %s waits: nothing of it is left, and others go on',
    async (gate) => {
      const { server, broker } = await startGated()
      await using _ = server
      const [ann, bob] = [await server.connect(), await server.connect({ userId: 'bob' })]
      await bob.subscribe('a')
      broker.hold(gate)
      ann.send('subscribe', { topic: 'a', rewind: 5 })
      await broker.reached(gate)
      ann.close()
      await server.told('disconnect')
      broker.release(gate)
      await turns()
      expect(await bob.publish('a', 1)).toMatchObject({ deliveredTo: 1 })
      expect(payloadsOf(await bob.received('a', 1))).toEqual([1])
      expect(server.service.channels()).toMatchObject([{ subscribers: 1 }])
      expect(server.events('subscribe')).toHaveLength(1)
    },
  )

  test('[P9] a reader that comes late finds its channel dropped and opened anew: the other stays', async () => {
    const { server, broker } = await startGated()
    await using _ = server
    for (let n = 1; n <= 3; n += 1) await server.service.publish('a', n)
    const [ann, bob] = [await server.connect(), await server.connect({ userId: 'bob' })]
    broker.hold('read-answer')
    ann.send('subscribe', { topic: 'a', rewind: 3 })
    await broker.reached('read-answer')
    ann.close()
    await server.told('disconnect')
    server.service.cleanupEmptyChannels()
    await bob.subscribe('a')
    broker.release('read-answer')
    await turns()
    expect(await bob.publish('a', 4)).toMatchObject({ deliveredTo: 1 })
    expect(payloadsOf(await bob.received('a', 1))).toEqual([4])
  })
})

test('[W10] where a batch names a topic twice, the last of its answers counts', async () => {
  const broker = new GatedBroker()
  await using server = await TestServer.start({ broker })
  const ann = await server.connect()
  broker.hold('subscribers')
  const answer = ann.request('subscribe', { topics: [{ topic: 'a' }, { topic: 'a' }] })
  await broker.reached('subscribers')
  broker.next('subscribers')
  await broker.reached('subscribers')
  await server.service.publish('a', 'between')
  broker.release('subscribers')
  expect(await answer).toMatchObject({ results: [{ seq: 0 }, { seq: 1 }] })
  await server.service.publish('a', 'after')
  await ann.received('a', 1)
  await ann.caughtUp()
  // The one between is covered by the second answer: nothing at or below it may follow.
  expect(ann.messages('a').map(({ seq }) => seq)).toEqual([2])
})
