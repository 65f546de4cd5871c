import { describe, expect, test } from 'vitest'
import { answerHistory, answerSubscribe, event, events } from '../testing/answers.js'
import { failureOf, outcome, testClient } from '../testing/test-client.js'

describe('one wire subscription for many local ones', () => {
  test('[W10] it is shared, and the last one leaves', async () => {
    const { client, server, runtime, connected } = testClient()
    await connected()
    const heard: string[] = []
    const first = client.subscribe('room', ({ seq }) => heard.push(`first ${seq}`))
    const second = client.subscribe('room', ({ seq }) => heard.push(`second ${seq}`))
    await runtime.settle()
    expect(server.link.sent('subscribe')).toHaveLength(1)
    answerSubscribe(server.link)
    await Promise.all([first.ready, second.ready])
    server.link.emit('message', event('room', 1))
    first.unsubscribe()
    await runtime.settle()
    expect(server.link.sent('unsubscribe')).toEqual([])
    server.link.emit('message', event('room', 2))
    second.unsubscribe()
    await runtime.settle()
    expect(server.link.sent('unsubscribe')).toEqual([{ topic: 'room' }])
    expect(heard).toEqual(['first 1', 'second 1', 'second 2'])
  })

  test('[W10] one that comes later without wishes gets what comes from then on', async () => {
    const { client, server, runtime, connected } = testClient()
    await connected()
    const heard: string[] = []
    client.subscribe('room', ({ seq }) => heard.push(`first ${seq}`), { rewind: 2 })
    // The first answer is still on its way: its past was not asked for here.
    const second = client.subscribe('room', ({ seq }) => heard.push(`second ${seq}`))
    await runtime.settle()
    answerSubscribe(server.link, { room: { messages: events('room', 1, 2) } })
    await runtime.settle()
    expect(second.position).toEqual({ epoch: 'e', seq: 2 })
    server.link.emit('message', event('room', 3))
    expect(heard).toEqual(['first 1', 'first 2', 'first 3', 'second 3'])
    expect(server.link.sent('history')).toEqual([])
  })

  test('[W10] subscribing in one turn makes one request', async () => {
    const { client, server, runtime, connected } = testClient()
    await connected()
    for (const topic of ['a', 'b', 'c']) client.subscribe(topic)
    await runtime.settle()
    expect(server.link.sent('subscribe')).toEqual([
      { topics: [{ topic: 'a' }, { topic: 'b' }, { topic: 'c' }] },
    ])
  })

  test('[W6] a publish in the same turn goes after the subscribe', async () => {
    const { client, server, runtime, connected } = testClient()
    await connected()
    const first = failureOf(client.publish('other', 1))
    client.subscribe('room')
    const second = failureOf(client.publish('room', 1))
    await runtime.settle()
    expect(server.link.requests.map(({ event: name }) => name)).toEqual([
      'subscribe',
      'publish',
      'publish',
    ])
    await client.close()
    expect(await Promise.all([first, second])).toMatchObject([
      { code: 'closed' },
      { code: 'closed' },
    ])
  })
})

describe('leaving and coming back', () => {
  test('[W11] events after unsubscribe are ignored', async () => {
    const { client, server, runtime, connected } = testClient()
    await connected()
    const heard: number[] = []
    const sub = client.subscribe('room', ({ seq }) => heard.push(seq))
    await runtime.settle()
    answerSubscribe(server.link)
    sub.unsubscribe()
    server.link.emit('message', event('room', 1))
    expect(heard).toEqual([])
  })

  test('[W11] subscribing again at once ends subscribed, without the old flow’s messages', async () => {
    const { client, server, runtime, connected } = testClient()
    await connected()
    const heard: number[] = []
    const old = client.subscribe('room')
    await runtime.settle()
    answerSubscribe(server.link, { room: { seq: 5 } })
    old.unsubscribe()
    const sub = client.subscribe('room', ({ seq }) => heard.push(seq))
    await runtime.settle()
    const names = server.link.requests.map(({ event: name }) => name)
    expect(names).toEqual(['subscribe', 'unsubscribe', 'subscribe'])
    // Of the subscription that has ended: the new one begins later.
    server.link.emit('message', event('room', 6))
    server.link.waiting('unsubscribe')[0]?.ok({ topic: 'room' })
    answerSubscribe(server.link, { room: { seq: 6 } })
    server.link.emit('message', event('room', 7))
    expect(sub.state).toBe('subscribed')
    expect(heard).toEqual([7])
  })

  test('[W11] left while the first answer is on its way: that answer changes nothing', async () => {
    const { client, server, runtime, connected } = testClient()
    await connected()
    const heard: number[] = []
    client.subscribe('room', ({ seq }) => heard.push(seq), { rewind: 3 }).unsubscribe()
    await runtime.settle()
    // Never asked for, so nothing to end.
    expect(server.link.requests).toEqual([])
    const sub = client.subscribe('room', ({ seq }) => heard.push(seq), { rewind: 3 })
    await runtime.settle()
    sub.unsubscribe()
    const again = client.subscribe('room', ({ seq }) => heard.push(seq * 10))
    await runtime.settle()
    answerSubscribe(server.link, { room: { messages: events('room', 1, 3) } })
    expect([heard, again.state]).toEqual([[], 'subscribing'])
    answerSubscribe(server.link, { room: { seq: 3 } })
    server.link.emit('message', event('room', 4))
    expect([heard, again.state]).toEqual([[40], 'subscribed'])
  })

  test('[W11] left while a refused one waits to be tried again: nothing more is asked', async () => {
    const { client, server, runtime, connected } = testClient()
    await connected()
    const sub = client.subscribe('room')
    await runtime.settle()
    server.link.waiting('subscribe')[0]?.refuse('channel_full')
    sub.unsubscribe()
    await runtime.advance(60_000)
    expect(server.link.sent('subscribe')).toHaveLength(1)
  })

  test('[W11] an unsubscribe that is refused is tried again later, unless it is wanted again', async () => {
    const { client, server, runtime, connected } = testClient()
    await connected()
    const sub = client.subscribe('room')
    await runtime.settle()
    answerSubscribe(server.link)
    sub.unsubscribe()
    await runtime.settle()
    server.link.waiting('unsubscribe')[0]?.refuse('rate_limited')
    await runtime.advance(60_000)
    expect(server.link.sent('unsubscribe')).toHaveLength(2)
  })

  test('[W11] unsubscribed offline, nothing is restored', async () => {
    const { client, server, runtime, connected } = testClient()
    const link = await connected()
    const sub = client.subscribe('room')
    await runtime.settle()
    answerSubscribe(link)
    link.down()
    sub.unsubscribe()
    await runtime.advance(2_000)
    expect(server.link.requests).toEqual([])
  })

  test('[P2] a listener that leaves in the middle of a page gets nothing more of it', async () => {
    const { client, server, runtime, connected } = testClient()
    await connected()
    const heard: number[] = []
    const sub = client.subscribe(
      'room',
      ({ seq }) => {
        heard.push(seq)
        if (seq === 2) sub.unsubscribe()
      },
      { rewind: 5 },
    )
    await runtime.settle()
    answerSubscribe(server.link, { room: { messages: events('room', 1, 5) } })
    expect(heard).toEqual([1, 2])
    expect(sub.state).toBe('unsubscribed')
  })

  test('[P2] a listener that disconnects in the middle of a page: the rest comes later, once', async () => {
    const { client, server, runtime, connected } = testClient()
    await connected()
    const heard: number[] = []
    client.subscribe(
      'room',
      ({ seq }) => {
        heard.push(seq)
        if (seq === 2) client.disconnect()
      },
      { rewind: 5 },
    )
    await runtime.settle()
    answerSubscribe(server.link, { room: { messages: events('room', 1, 5) } })
    expect(heard).toEqual([1, 2])
    await connected()
    expect(server.link.sent('subscribe')).toMatchObject([{ topics: [{ since: { seq: 2 } }] }])
    answerSubscribe(server.link, { room: { messages: events('room', 3, 5), recovered: true } })
    expect(heard).toEqual([1, 2, 3, 4, 5])
  })
})

describe('rights', () => {
  test('[R8] a topic that the rules deny fails with permission_denied, without a request', async () => {
    const { client, server, runtime, connected } = testClient()
    server.welcome = { rules: [{ match: 'open:*', subscribe: 'anyone', publish: 'anyone' }] }
    await connected()
    const sub = client.subscribe('secret')
    const told: unknown[] = []
    sub.on('error', (error) => told.push(error))
    await runtime.settle()
    expect(sub.state).toBe('failed')
    expect(told).toMatchObject([
      { code: 'permission_denied', details: { topic: 'secret', action: 'subscribe' } },
    ])
    expect(await outcome(sub.ready)).toBe('permission_denied')
    expect(server.link.requests).toEqual([])
  })

  test('[R8] where the rules are kept back or have to be asked, the server is asked', async () => {
    for (const rules of [null, [{ match: '*', subscribe: 'ask', publish: 'ask' } as const]]) {
      const { client, server, runtime, connected } = testClient()
      server.welcome = { rules }
      await connected()
      client.subscribe('secret')
      await runtime.settle()
      expect(server.link.sent('subscribe')).toHaveLength(1)
    }
  })
})

describe('joining a live topic with its past', () => {
  /** A live topic at this position, with one local subscription. */
  async function live(seq: number) {
    const world = testClient()
    const link = await world.connected()
    world.client.subscribe('room')
    await world.runtime.settle()
    answerSubscribe(link, { room: { seq } })
    const heard: number[] = []
    return Object.assign(world, { link, heard })
  }

  test('[C9] since: it reads history page by page, then joins the flow', async () => {
    const { client, link, runtime, heard } = await live(5)
    const told: unknown[] = []
    const sub = client.subscribe('room', ({ seq }) => heard.push(seq), {
      since: { epoch: 'e', seq: 1 },
    })
    sub.on('subscribed', (outcomeOf) => told.push(outcomeOf))
    await runtime.settle()
    expect(link.sent('history')).toEqual([
      { topic: 'room', since: { epoch: 'e', seq: 1 }, limit: 500 },
    ])
    answerHistory(link, 'room', { messages: events('room', 2, 3), more: true, seq: 5 })
    await runtime.settle()
    expect(link.sent('history').at(-1)).toMatchObject({ since: { epoch: 'e', seq: 3 } })
    expect(sub.state).toBe('subscribing')
    answerHistory(link, 'room', { messages: events('room', 4, 5) })
    expect(sub.state).toBe('subscribed')
    link.emit('message', event('room', 6))
    expect(heard).toEqual([2, 3, 4, 5, 6])
    expect(told).toEqual([{ recovered: true, replayed: 4, position: { epoch: 'e', seq: 5 } }])
    expect(link.sent('subscribe')).toHaveLength(1)
  })

  test('[C9] what comes live while a page is on its way: no hole, no double', async () => {
    const { client, link, runtime, heard } = await live(5)
    client.subscribe('room', ({ seq }) => heard.push(seq), { since: { epoch: 'e', seq: 3 } })
    await runtime.settle()
    for (const seq of [6, 7, 8]) link.emit('message', event('room', seq))
    // The page was read when 7 was the head.
    answerHistory(link, 'room', { messages: events('room', 4, 7) })
    link.emit('message', event('room', 9))
    expect(heard).toEqual([4, 5, 6, 7, 8, 9])
  })

  test('[C9] a page that is ahead of the flow: the flow’s repetitions are dropped', async () => {
    const { client, link, runtime, heard } = await live(5)
    const sub = client.subscribe('room', ({ seq }) => heard.push(seq), {
      since: { epoch: 'e', seq: 4 },
    })
    await runtime.settle()
    answerHistory(link, 'room', { messages: events('room', 5, 8) })
    expect(sub.state).toBe('subscribed')
    expect(sub.position?.seq).toBe(8)
    for (const seq of [6, 7, 8, 9]) link.emit('message', event('room', seq))
    expect(heard).toEqual([5, 6, 7, 8, 9])
  })

  test('[C9] a page that is behind the flow: it reads on', async () => {
    const { client, link, runtime, heard } = await live(5)
    client.subscribe('room', ({ seq }) => heard.push(seq), { since: { epoch: 'e', seq: 2 } })
    await runtime.settle()
    link.emit('message', event('room', 6))
    answerHistory(link, 'room', { messages: [event('room', 3)] })
    await runtime.settle()
    expect(heard).toEqual([3])
    expect(link.sent('history').at(-1)).toMatchObject({ since: { seq: 3 } })
    answerHistory(link, 'room', { messages: events('room', 4, 6) })
    link.emit('message', event('room', 7))
    expect(heard).toEqual([3, 4, 5, 6, 7])
  })

  test('[C9] more than can be kept comes live meanwhile: it reads on', async () => {
    const { client, link, runtime, heard } = await live(0)
    client.subscribe('room', ({ seq }) => heard.push(seq), { since: { epoch: 'old', seq: 1 } })
    await runtime.settle()
    for (let seq = 1; seq <= 600; seq += 1) link.emit('message', event('room', seq))
    answerHistory(link, 'room', {
      seq: 0,
      gap: { from: null, to: null, epoch: 'e', reason: 'epoch_changed' },
    })
    await runtime.settle()
    answerHistory(link, 'room', { messages: events('room', 1, 600) })
    link.emit('message', event('room', 601))
    expect(heard).toEqual(Array.from({ length: 601 }, (_, index) => index + 1))
  })

  test('[C9] rewind: the last so many, and no gap where there are fewer', async () => {
    const { client, link, runtime, heard } = await live(100)
    const gaps: unknown[] = []
    const told: unknown[] = []
    const sub = client.subscribe('room', ({ seq }) => heard.push(seq), { rewind: 50 })
    sub.on('gap', (gap) => gaps.push(gap))
    sub.on('subscribed', ({ recovered }) => told.push(recovered))
    await runtime.settle()
    expect(link.sent('history')).toMatchObject([{ since: { epoch: 'e', seq: 50 } }])
    answerHistory(link, 'room', {
      gap: { from: 51, to: 97, epoch: 'e', reason: 'expired' },
      messages: events('room', 98, 100),
    })
    expect([heard, gaps, told]).toEqual([[98, 99, 100], [], [false]])
  })

  test('[C9][P3] rewind: what is lost after its first message is told', async () => {
    const { client, server, link, runtime, heard } = await live(100)
    const gaps: unknown[] = []
    const sub = client.subscribe('room', ({ seq }) => heard.push(seq), { rewind: 2 })
    sub.on('gap', (gap) => gaps.push(gap))
    await runtime.settle()
    answerHistory(link, 'room', { messages: [event('room', 99)], more: true, seq: 100 })
    link.down()
    await runtime.advance(2_000)
    answerSubscribe(server.link, { room: { seq: 120, recovered: true } })
    await runtime.settle()
    const gap = { from: 100, to: 118, epoch: 'e', reason: 'expired' } as const
    answerHistory(server.link, 'room', { gap, messages: events('room', 119, 120) })
    expect([heard, gaps]).toEqual([[99, 119, 120], [gap]])
    expect(sub.state).toBe('subscribed')
  })

  test('[C9][P3] since: a gap in the past is told', async () => {
    const { client, link, runtime, heard } = await live(9)
    const gaps: unknown[] = []
    const sub = client.subscribe('room', ({ seq }) => heard.push(seq), {
      since: { epoch: 'e', seq: 1 },
    })
    sub.on('gap', (gap) => gaps.push(gap, ...heard))
    await runtime.settle()
    const gap = { from: 2, to: 7, epoch: 'e', reason: 'expired' } as const
    answerHistory(link, 'room', { gap, messages: events('room', 8, 9) })
    expect(gaps).toEqual([gap])
    expect(heard).toEqual([8, 9])
  })

  test('[C9] the link is lost on the way: it goes on from where it was', async () => {
    const { client, server, link, runtime, heard } = await live(5)
    client.subscribe('room', ({ seq }) => heard.push(seq), { since: { epoch: 'e', seq: 0 } })
    await runtime.settle()
    answerHistory(link, 'room', { messages: events('room', 1, 2), more: true, seq: 5 })
    link.down()
    await runtime.advance(2_000)
    answerSubscribe(server.link, { room: { messages: [event('room', 6)], recovered: true } })
    await runtime.settle()
    expect(server.link.sent('history')).toMatchObject([{ since: { epoch: 'e', seq: 2 } }])
    answerHistory(server.link, 'room', { messages: events('room', 3, 6) })
    expect(heard).toEqual([1, 2, 3, 4, 5, 6])
  })

  test('[C9] the stream began anew and only history knows: the flow asks again', async () => {
    const { client, link, runtime, heard } = await live(5)
    const sub = client.subscribe('room', ({ seq }) => heard.push(seq), {
      since: { epoch: 'e', seq: 3 },
    })
    await runtime.settle()
    const gap = { from: null, to: null, epoch: 'f', reason: 'epoch_changed' } as const
    const inF = (seq: number) => event('room', seq, { epoch: 'f' })
    answerHistory(link, 'room', { epoch: 'f', gap, messages: [inF(1)] })
    await runtime.settle()
    answerSubscribe(link, { room: { epoch: 'f', gap, messages: [inF(1), inF(2)] } })
    await runtime.settle()
    answerHistory(link, 'room', { epoch: 'f', messages: [inF(2)] })
    link.emit('message', inF(3))
    expect(heard).toEqual([1, 2, 3])
    expect(sub.state).toBe('subscribed')
  })

  test('[C9] refused for now it is tried again; refused for good it alone fails', async () => {
    const { client, link, runtime } = await live(5)
    const sub = client.subscribe('room', undefined, { since: { epoch: 'e', seq: 3 } })
    await runtime.settle()
    link.waiting('history')[0]?.refuse('rate_limited')
    await runtime.advance(2_000)
    expect(link.sent('history')).toHaveLength(2)
    link.waiting('history')[0]?.refuse('permission_denied')
    expect(sub.state).toBe('failed')
    expect(await failureOf(sub.ready)).toMatchObject({ code: 'permission_denied' })
    expect(client.getStats()).toMatchObject({ subscriptions: 1, topics: 1 })
  })

  test('[C9] its position is the flow’s: it joins at the next page', async () => {
    const { client, link, runtime, heard } = await live(5)
    const sub = client.subscribe('room', ({ seq }) => heard.push(seq), { rewind: 0 })
    await runtime.settle()
    expect(sub.state).toBe('subscribed')
    expect(link.sent('history')).toEqual([])
    link.emit('message', event('room', 6))
    expect(heard).toEqual([6])
  })
})
