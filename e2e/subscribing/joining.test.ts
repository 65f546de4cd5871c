import type { SubscribeOptions } from '@bmt-central/realtime'
import { describe, expect, test } from 'vitest'
import { World, type WorldOptions } from '../harness.js'
import { range, Reader } from '../reader.js'
import { until, within } from '../until.js'

const TOPIC = 'open:news'

const SMALL_PAGES = { limits: { maxPageMessages: 10 } } as const satisfies WorldOptions

/** A stream of 100, and a client that is in its live flow. */
async function live(world: World): Promise<{
  heard: Reader
  epoch: string
  join: (options: SubscribeOptions) => Reader
}> {
  for (const number of range(1, 99)) await world.service.publish(TOPIC, number)
  const { epoch } = await world.service.publish(TOPIC, 100)
  const client = await world.join('ada')
  const heard = await Reader.live(client, TOPIC)
  return { heard, epoch, join: (options) => new Reader(client, TOPIC, options) }
}

/** Publishes up to 200 more as fast as turns of the event loop go; gives the last when it is stopped. */
function publishMeanwhile(world: World): () => number {
  let published = 100
  const publishOne = (): void => {
    if (published === 300) return
    published += 1
    void world.service.publish(TOPIC, published)
  }
  for (let count = 0; count < 5; count += 1) publishOne()
  const timer = setInterval(publishOne, 1)
  return () => {
    clearInterval(timer)
    return published
  }
}

describe('a second local subscription to a live topic', () => {
  test('[C9][P2] with `since`: its past by pages, then the flow, without a hole or a double', async () => {
    await using world = await World.start(SMALL_PAGES)
    const { heard, epoch, join } = await live(world)
    const stop = publishMeanwhile(world)
    const second = join({ since: { epoch, seq: 20 } })
    await within(second.subscription.ready, 'the second to be live')
    const last = stop()
    await Promise.all([heard.reached(last), second.reached(last)])
    expect(second.seqs).toEqual(range(21, last))
    expect(heard.seqs).toEqual(range(101, last))
    expect(second.gaps).toEqual([])
    expect(second.subscribed).toHaveLength(1)
    expect(second.subscribed[0]?.recovered).toBe(true)
    expect(second.log.indexOf('subscribed')).toBe(second.subscribed[0]?.replayed)
  })

  test('[C9][P2] with `rewind`: the last so many, then the flow', async () => {
    await using world = await World.start(SMALL_PAGES)
    const { heard, join } = await live(world)
    const stop = publishMeanwhile(world)
    const second = join({ rewind: 25 })
    await within(second.subscription.ready, 'the second to be live')
    const last = stop()
    await Promise.all([heard.reached(last), second.reached(last)])
    const first = second.seqs[0] ?? 0
    // Counted from the moment at which it began to read.
    expect(first).toBeGreaterThanOrEqual(76)
    expect(second.seqs).toEqual(range(first, last))
    expect(heard.seqs).toEqual(range(101, last))
    expect(second.gaps).toEqual([])
  })

  test('[C9][P3] with a `since` of another epoch: the gap first, then all that there is', async () => {
    await using world = await World.start(SMALL_PAGES)
    const { heard, epoch, join } = await live(world)
    const second = join({ since: { epoch: 'an-epoch-of-long-ago', seq: 7 } })
    await within(second.subscription.ready, 'the second to be live')
    await world.service.publish(TOPIC, 101)
    await Promise.all([heard.received(1), second.received(101)])
    expect(second.log).toEqual(['gap', ...range(1, 100), 'subscribed', 101])
    expect(second.gaps).toEqual([{ from: null, to: null, epoch, reason: 'epoch_changed' }])
    expect(heard.gaps).toEqual([])
  })

  test('[C9] with neither: it joins the flow at once', async () => {
    await using world = await World.start(SMALL_PAGES)
    const { heard, join } = await live(world)
    const second = join({})
    await within(second.subscription.ready, 'the second to be live')
    await world.service.publish(TOPIC, 101)
    await Promise.all([heard.received(1), second.received(1)])
    expect(second.log).toEqual(['subscribed', 101])
  })

  test('[C9][C2][P2] the line goes while it reads its past: it goes on where it was', async () => {
    await using world = await World.start(SMALL_PAGES)
    const { epoch } = await live(world)
    const line = await world.line()
    const client = await world.join('bob', { url: line.url })
    const heard = await Reader.live(client, TOPIC)
    const second = new Reader(client, TOPIC, { since: { epoch, seq: 0 } })
    let cuts = 0
    second.onMessage = ({ seq }) => {
      if (seq % 30 !== 0 || cuts === 3) return
      cuts += 1
      line.cut()
      void world.service.publish(TOPIC, 100 + cuts)
    }
    await within(second.subscription.ready, 'the second to be live')
    await Promise.all([heard.received(3), second.reached(103)])
    expect(second.seqs).toEqual(range(1, 103))
    expect(heard.seqs).toEqual(range(101, 103))
    expect([...second.gaps, ...heard.gaps]).toEqual([])
  })
})

describe('many local subscriptions to one topic', () => {
  test('[C9][W10][W11] share one on the wire; the last one that leaves takes it along', async () => {
    await using world = await World.start()
    const client = await world.join('ada')
    const asked: string[] = []
    world.service.on('subscribe', ({ topic }) => asked.push(topic))
    const readers = await Promise.all(range(1, 5).map(() => Reader.live(client, TOPIC)))
    expect(asked).toEqual([TOPIC])
    expect(client.getStats()).toMatchObject({ subscriptions: 5, topics: 1 })
    expect(world.service.getStats().channelDetails).toMatchObject([{ name: TOPIC, subscribers: 1 }])

    const left: string[] = []
    world.service.on('unsubscribe', ({ topic }) => left.push(topic))
    for (const { subscription } of readers.slice(1)) subscription.unsubscribe()
    await world.service.publish(TOPIC, 1)
    await readers[0]?.received(1)
    expect(readers.slice(1).flatMap(({ messages }) => messages)).toEqual([])
    expect(left).toEqual([])
    readers[0]?.subscription.unsubscribe()
    readers[0]?.subscription.unsubscribe()
    await until(() => left.length === 1, 'the server to hear of it')
    expect((await client.publish(TOPIC, 2)).deliveredTo).toBe(0)
  })

  test('[P7] a listener that throws stops nobody else, and is reported', async () => {
    await using world = await World.start()
    const client = await world.join('ada')
    const faulty = await Reader.live(client, TOPIC)
    const other = await Reader.live(client, TOPIC)
    faulty.onMessage = () => {
      throw new Error('a bug of the application')
    }
    for (const number of [1, 2]) await world.service.publish(TOPIC, number)
    await other.received(2)
    expect(faulty.payloads).toEqual([1, 2])
    expect(faulty.errors).toMatchObject([
      { code: 'internal_error', cause: { message: 'a bug of the application' } },
      { code: 'internal_error' },
    ])
    expect(client.getStats().listenerErrors).toBe(2)
    expect(world.takeFailures().join()).toContain('a bug of the application')
  })

  test('[P7] of several listeners to one event, the one that throws stops none of the others', async () => {
    await using world = await World.start()
    const line = await world.line()
    const client = await world.join('ada', { url: line.url })
    const heard = await Reader.live(client, TOPIC)
    const told: string[] = []
    const faulty = (): never => {
      throw new Error('a bug of the application')
    }
    client.onConnection(faulty)
    client.onConnection(({ status }) => told.push(status))
    client.onOutbox(faulty)
    client.onOutbox(({ state }) => told.push(state))
    heard.subscription.on('state', faulty)
    heard.subscription.on('state', (state) => told.push(state))
    line.cut()
    await until(() => heard.subscribed.length === 2, 'the topic to be live again')
    await client.publish(TOPIC, 1)
    await heard.received(1)
    expect(told.filter((event, index) => event !== told[index - 1])).toEqual([
      'subscribing',
      'reconnecting',
      'connected',
      'subscribed',
      'queued',
      'sent',
      'acknowledged',
    ])
    await client.close()
    const failures = world.takeFailures()
    expect(failures.filter((text) => !text.includes('a bug of the application'))).toEqual([])
  })
})
