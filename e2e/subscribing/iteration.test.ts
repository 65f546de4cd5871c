import { describe, expect, test } from 'vitest'
import { failureOf } from '../failure.js'
import { World } from '../harness.js'
import { range } from '../reader.js'
import { until, within } from '../until.js'

const TOPIC = 'open:news'

describe('iteration', () => {
  test('[C9][P1] gives each message from the beginning on, and leaving the loop unsubscribes', async () => {
    await using world = await World.start()
    const client = await world.join('ada')
    const left: string[] = []
    world.service.on('unsubscribe', ({ topic }) => left.push(topic))
    const messages = client.subscribe<number>(TOPIC)
    await within(messages.ready, 'the topic to be live')
    for (const number of range(1, 5)) await world.service.publish(TOPIC, number)
    const got: number[] = []
    for await (const { payload, own } of messages) {
      got.push(payload)
      expect(own).toBe(false)
      if (payload === 4) break
    }
    expect(got).toEqual([1, 2, 3, 4])
    expect(messages.state).toBe('unsubscribed')
    await until(() => left.length === 1, 'the server to hear of it')
    expect(world.service.getStats().subscriptions).toBe(0)
  })

  test('[C9][P2] goes on across a cut line', async () => {
    await using world = await World.start()
    const line = await world.line()
    const client = await world.join('ada', { url: line.url })
    const messages = client.subscribe<number>(TOPIC)
    await within(messages.ready, 'the topic to be live')
    const got: number[] = []
    const reading = (async () => {
      for await (const { payload } of messages) {
        got.push(payload)
        if (payload === 10) line.cut()
        if (payload === 30) return
      }
    })()
    for (const number of range(1, 20)) await world.service.publish(TOPIC, number)
    await until(() => client.getStats().reconnectCount === 1, 'the client to be back')
    for (const number of range(21, 30)) await world.service.publish(TOPIC, number)
    await within(reading, 'the loop to end')
    expect(got).toEqual(range(1, 30))
  })

  test('[P3] goes on at a gap, or stops there where it was asked to', async () => {
    await using world = await World.start()
    for (const number of range(1, 3)) await world.service.publish(TOPIC, number)
    const client = await world.join('ada')
    const since = { epoch: 'an-epoch-of-long-ago', seq: 1 }
    const goesOn = client.subscribe<number>(TOPIC, undefined, { since })
    const got: number[] = []
    for await (const { payload } of goesOn) {
      got.push(payload)
      if (payload === 3) break
    }
    expect(got).toEqual([1, 2, 3])

    const stops = client.subscribe<number>(TOPIC, undefined, { since, onGap: 'throw' })
    const first = failureOf(stops[Symbol.asyncIterator]().next())
    expect(await first).toMatchObject({
      code: 'position_lost',
      details: { gap: { reason: 'epoch_changed' } },
    })
    expect(stops.state).toBe('unsubscribed')
  })

  test('[C9] ends when its subscription does: by itself, with the client, and with the error', async () => {
    await using world = await World.start()
    const client = await world.join('ada')
    const finished = (topic: string) => client.subscribe(topic)[Symbol.asyncIterator]().next()
    const denied = failureOf(finished('closed:news'))
    expect(await denied).toMatchObject({ code: 'permission_denied' })

    const subscription = client.subscribe(TOPIC)
    const next = subscription[Symbol.asyncIterator]().next()
    subscription.unsubscribe()
    expect(await within(next, 'the end')).toEqual({ done: true, value: undefined })

    const last = finished(TOPIC)
    await client.close()
    expect(await within(last, 'the end')).toEqual({ done: true, value: undefined })
  })
})

describe('`using` and signals', () => {
  test('[W11] a subscription ends with its block', async () => {
    await using world = await World.start()
    const client = await world.join('ada')
    const left: string[] = []
    world.service.on('unsubscribe', ({ topic }) => left.push(topic))
    {
      using subscription = client.subscribe(TOPIC, () => undefined)
      await within(subscription.ready, 'the topic to be live')
      expect(client.getStats().subscriptions).toBe(1)
    }
    expect(client.getStats().subscriptions).toBe(0)
    await until(() => left.length === 1, 'the server to hear of it')
  })

  test('[W11] a subscription ends with its signal; one that is aborted already never begins', async () => {
    await using world = await World.start()
    const client = await world.join('ada')
    const controller = new AbortController()
    const { signal } = controller
    const subscription = client.subscribe(TOPIC, () => undefined, { signal })
    await within(subscription.ready, 'the topic to be live')
    controller.abort()
    expect(subscription.state).toBe('unsubscribed')
    await until(() => world.service.getStats().subscriptions === 0, 'the server to hear of it')

    const late = client.subscribe(TOPIC, () => undefined, { signal })
    expect(late.state).toBe('unsubscribed')
    expect((await failureOf(late.ready)).code).toBe('aborted')
  })
})
