import { describe, expect, test } from 'vitest'
import { acceptPublish, answerSubscribe, event, events } from '../testing/answers.js'
import { failureOf, outcome, testClient } from '../testing/test-client.js'
import type { ReceivedMessage, SubscribeOptions, Subscription } from './subscription.js'

type World = ReturnType<typeof testClient> & { sub: Subscription }

/** A client with one live subscription without a listener. */
async function iterable(options: SubscribeOptions = {}): Promise<World> {
  const world = testClient()
  const link = await world.connected()
  const sub = world.client.subscribe('room', undefined, options)
  await world.runtime.settle()
  answerSubscribe(link)
  await sub.ready
  return Object.assign(world, { sub })
}

describe('listeners', () => {
  test('[T1] a topic is normalised once, and the listener gets the spelling that was subscribed', async () => {
    const { client, server, runtime, connected } = testClient()
    await connected()
    const composed = 'caf\u00e9'
    const decomposed = 'cafe\u0301'
    const topics: string[] = []
    const one = client.subscribe(decomposed, ({ topic }) => topics.push(topic))
    const two = client.subscribe(composed, ({ topic }) => topics.push(topic))
    await runtime.settle()
    expect(server.link.sent('subscribe')).toEqual([{ topics: [{ topic: composed }] }])
    answerSubscribe(server.link)
    server.link.emit('message', event(composed, 1))
    expect(topics).toEqual([decomposed, composed])
    expect([one.topic, two.topic]).toEqual([decomposed, composed])
  })

  test('[T1] what is no topic fails without a request', async () => {
    const { client, server, runtime, connected } = testClient()
    await connected()
    const told: unknown[] = []
    const sub = client.subscribe('a::b')
    sub.on('error', ({ code }) => told.push(code))
    expect(await failureOf(sub.ready)).toMatchObject({ code: 'invalid_topic' })
    const odd = client.subscribe(7 as unknown as string)
    expect(await failureOf(odd.ready)).toMatchObject({ code: 'invalid_message' })
    await runtime.settle()
    expect(told).toEqual(['invalid_topic'])
    expect(server.link.requests).toEqual([])
    expect(client.getStats().subscriptions).toBe(0)
  })

  test('[P7] a listener that throws is reported, and stops nobody', async () => {
    const { client, server, runtime, logs, connected } = testClient()
    await connected()
    const heard: number[] = []
    const boom = new Error('from a listener')
    const bad = client.subscribe('room', () => {
      throw boom
    })
    const late = client.subscribe('room', () => Promise.reject(boom) as unknown as void)
    client.subscribe('room', ({ seq }) => heard.push(seq))
    const errors: unknown[] = []
    bad.on('error', (error) => errors.push(error))
    late.on('error', () => {
      throw new Error('from the error listener, too')
    })
    await runtime.settle()
    answerSubscribe(server.link)
    server.link.emit('message', event('room', 1))
    server.link.emit('message', event('room', 2))
    await runtime.settle()
    expect(heard).toEqual([1, 2])
    expect(bad.position?.seq).toBe(2)
    expect(errors).toMatchObject([
      { code: 'internal_error', cause: boom },
      { code: 'internal_error', cause: boom },
    ])
    expect(logs.filter(({ event: name }) => name === 'listener threw')).toHaveLength(6)
    expect(client.getStats().listenerErrors).toBe(6)
  })

  test('[P7] a logger that throws stops nobody, either', async () => {
    const fail = (): never => {
      throw new Error('the log is full')
    }
    const logger = { debug: fail, info: fail, warn: fail, error: fail }
    const { client, server, runtime, connected } = testClient({ logger })
    await connected()
    const heard: number[] = []
    client.subscribe('room', ({ seq }) => {
      heard.push(seq)
      throw new Error('again')
    })
    await runtime.settle()
    answerSubscribe(server.link)
    for (const bad of [null, event('room', 1), event('room', 2)]) server.link.emit('message', bad)
    expect(heard).toEqual([1, 2])
  })

  test('[P2] own messages are marked: those that this client object published', async () => {
    const { client, server, runtime, connected } = testClient()
    await connected()
    const heard: [string, boolean][] = []
    client.subscribe('room', ({ id, own }) => heard.push([id, own]))
    const published = client.publish('room', 'mine', { id: 'mine' })
    await runtime.settle()
    answerSubscribe(server.link)
    server.link.emit('message', event('room', 1, { id: 'mine', from: 'ada' }))
    server.link.emit('message', event('room', 2, { id: 'other-tab', from: 'ada' }))
    acceptPublish(server.link, 1)
    await published
    expect(heard).toEqual([
      ['mine', true],
      ['other-tab', false],
    ])
  })

  test('[P2] stopped listening, nothing is heard; stopping twice is fine', async () => {
    const { sub, server } = await iterable()
    const states: string[] = []
    const stop = sub.on('state', (state) => states.push(state))
    stop()
    stop()
    server.link.down()
    expect(states).toEqual([])
  })
})

describe('ending', () => {
  test('[W11] unsubscribe is idempotent, ends at once, and leaves the channel', async () => {
    const { client, server, runtime, sub } = await iterable()
    const states: string[] = []
    sub.on('state', (state) => states.push(state))
    sub.unsubscribe()
    sub.unsubscribe()
    await runtime.settle()
    expect(states).toEqual(['unsubscribed'])
    expect(server.link.sent('unsubscribe')).toEqual([{ topic: 'room' }])
    expect(client.getStats()).toMatchObject({ subscriptions: 0, topics: 0 })
  })

  test('[W11] `using` unsubscribes', async () => {
    const { client, server, runtime, connected } = testClient()
    await connected()
    {
      using sub = client.subscribe('room')
      await runtime.settle()
      answerSubscribe(server.link)
      await sub.ready
    }
    await runtime.settle()
    expect(server.link.sent('unsubscribe')).toEqual([{ topic: 'room' }])
  })

  test('[W11] a signal unsubscribes, also one that has aborted already', async () => {
    const controller = new AbortController()
    const { client, server, runtime, sub } = await iterable({ signal: controller.signal })
    controller.abort()
    expect(sub.state).toBe('unsubscribed')
    const never = client.subscribe('other', undefined, { signal: controller.signal })
    expect(never.state).toBe('unsubscribed')
    await runtime.settle()
    expect(server.link.sent('subscribe')).toHaveLength(1)
  })

  test('[W11] unsubscribed before it was ready: ready rejects with aborted', async () => {
    const { client, connected } = testClient()
    await connected()
    const sub = client.subscribe('room')
    sub.unsubscribe()
    expect(await failureOf(sub.ready)).toMatchObject({ code: 'aborted' })
  })

  test('[C8] close() ends all subscriptions; later ones fail with closed', async () => {
    const { client, sub } = await iterable()
    await client.close()
    expect(sub.state).toBe('unsubscribed')
    const late = client.subscribe('room')
    expect(await failureOf(late.ready)).toMatchObject({ code: 'closed' })
    expect(late.state).toBe('failed')
  })

  test('[C8] `await using` closes a client', async () => {
    const { client } = testClient()
    {
      await using owned = client
      await owned.connect()
    }
    expect(client.status).toBe('closed')
  })

  test('[C2] misuse is named: option and value', () => {
    const { client } = testClient()
    const wrong: [SubscribeOptions, string][] = [
      [{ rewind: -1 }, 'rewind must be a whole number, got -1'],
      [{ rewind: 1.5 }, 'rewind must be a whole number, got 1.5'],
      [{ since: { epoch: 'e', seq: -1 } }, 'since must be'],
      [{ since: { seq: 1 } as never }, 'since must be'],
      [{ onGap: 'stop' as never }, 'onGap must be continue or throw, got "stop"'],
    ]
    for (const [options, message] of wrong) {
      expect(() => client.subscribe('room', undefined, options)).toThrowError(message)
    }
  })
})

describe('iteration', () => {
  const take = async (
    iteration: AsyncIterator<ReceivedMessage, void>,
    count: number,
  ): Promise<number[]> => {
    const taken: number[] = []
    while (taken.length < count) {
      const next = await iteration.next()
      if (next.done === true) break
      taken.push(next.value.seq)
    }
    return taken
  }

  test('[P2] it collects from the beginning where there is no listener', async () => {
    const { client, server, runtime, connected } = testClient()
    await connected()
    const sub = client.subscribe('room', undefined, { rewind: 2 })
    await runtime.settle()
    answerSubscribe(server.link, { room: { messages: events('room', 1, 2) } })
    await sub.ready
    server.link.emit('message', event('room', 3))
    const taken: number[] = []
    for await (const { seq } of sub) {
      taken.push(seq)
      if (seq === 3) break
    }
    expect(taken).toEqual([1, 2, 3])
    // There was nothing but the loop: leaving it leaves the channel.
    expect(sub.state).toBe('unsubscribed')
  })

  test('[P2] it waits for what comes, and a listener keeps the subscription alive', async () => {
    const { client, server, runtime, connected } = testClient()
    await connected()
    const heard: number[] = []
    const sub = client.subscribe('room', ({ seq }) => heard.push(seq))
    await runtime.settle()
    answerSubscribe(server.link)
    const iteration = sub[Symbol.asyncIterator]()
    const next = take(iteration, 2)
    server.link.emit('message', event('room', 1))
    await runtime.settle()
    server.link.emit('message', event('room', 2))
    expect(await next).toEqual([1, 2])
    await iteration.return()
    expect(sub.state).toBe('subscribed')
    expect(heard).toEqual([1, 2])
  })

  test('[C9] at most 1,000 messages wait, then it ends with slow_consumer', async () => {
    const { server, sub, client } = await iterable()
    const iteration = sub[Symbol.asyncIterator]()
    for (let seq = 1; seq <= 1_000; seq += 1) server.link.emit('message', event('room', seq))
    expect(client.getStats().bounds['fullestIteration']).toEqual({ used: 1_000, cap: 1_000 })
    expect(await take(iteration, 1)).toEqual([1])
    for (let seq = 1_001; seq <= 1_002; seq += 1) server.link.emit('message', event('room', seq))
    expect(await failureOf(iteration.next())).toMatchObject({ code: 'slow_consumer' })
    expect(await iteration.next()).toMatchObject({ done: true })
    expect(client.getStats().bounds['fullestIteration']).toMatchObject({ used: 0 })
  })

  test('[C9] at most 8 MiB wait', async () => {
    const { server, sub } = await iterable()
    const iteration = sub[Symbol.asyncIterator]()
    const payload = 'x'.repeat(1_024 * 1_024)
    for (let seq = 1; seq <= 7; seq += 1)
      server.link.emit('message', event('room', seq, { payload }))
    expect(await take(iteration, 1)).toEqual([1])
    for (let seq = 8; seq <= 10; seq += 1) {
      server.link.emit(
        'message',
        event('room', seq, { payload: seq === 8 ? { payload } : payload }),
      )
    }
    expect(await failureOf(iteration.next())).toMatchObject({ code: 'slow_consumer' })
  })

  test('[C9] one that is never begun costs bounded memory and nothing else', async () => {
    const { server, sub } = await iterable()
    for (let seq = 1; seq <= 1_500; seq += 1) server.link.emit('message', event('room', seq))
    expect(sub.state).toBe('subscribed')
    expect(sub.position?.seq).toBe(1_500)
    const late = sub[Symbol.asyncIterator]()
    expect(await failureOf(late.next())).toMatchObject({ code: 'slow_consumer' })
  })

  test('[P3] with onGap: throw it ends at a gap with position_lost, after what came before it', async () => {
    const { server, runtime, sub } = await iterable({ onGap: 'throw' })
    const iteration = sub[Symbol.asyncIterator]()
    server.link.emit('message', event('room', 1))
    server.link.down()
    await runtime.advance(2_000)
    const gap = { from: 2, to: 3, epoch: 'e', reason: 'expired' } as const
    answerSubscribe(server.link, { room: { gap, messages: [event('room', 4)] } })
    expect(await take(iteration, 1)).toEqual([1])
    expect(await failureOf(iteration.next())).toMatchObject({
      code: 'position_lost',
      details: { gap },
    })
  })

  test('[P3] by default it goes on after a gap', async () => {
    const { server, runtime, sub } = await iterable()
    const iteration = sub[Symbol.asyncIterator]()
    server.link.down()
    await runtime.advance(2_000)
    const gap = { from: 1, to: 3, epoch: 'e', reason: 'expired' } as const
    answerSubscribe(server.link, { room: { gap, messages: [event('room', 4)] } })
    expect(await take(iteration, 1)).toEqual([4])
  })

  test('[W11] it ends when the subscription does, and when that fails, with its error', async () => {
    const { client, server, runtime, sub } = await iterable()
    const iteration = sub[Symbol.asyncIterator]()
    server.link.emit('message', event('room', 1))
    const ended = take(iteration, 5)
    await runtime.settle()
    server.link.emit('message', event('room', 2))
    sub.unsubscribe()
    expect(await ended).toEqual([1])
    expect(await sub[Symbol.asyncIterator]().next()).toMatchObject({ done: true })

    const failing = client.subscribe('secret')
    const other = failing[Symbol.asyncIterator]()
    await runtime.settle()
    const refused = { status: 'error', code: 'permission_denied', message: 'no', retryable: false }
    server.link.waiting('subscribe')[0]?.ok({ results: [refused] })
    expect(await failureOf(other.next())).toMatchObject({ code: 'permission_denied' })
    const late = failing[Symbol.asyncIterator]()
    expect(await failureOf(late.next())).toMatchObject({ code: 'permission_denied' })
  })

  test('[P9] ready is pending while it is not connected', async () => {
    const { client } = testClient()
    expect(await outcome(client.subscribe('room').ready)).toBe('pending')
  })
})
