import { describe, expect, test } from 'vitest'
import { failureOf } from '../failure.js'
import { OPEN_RULE, World, type WorldOptions } from '../harness.js'
import { range, Reader } from '../reader.js'
import { until } from '../until.js'

const RULES = {
  channels: [
    {
      match: 'typing:*',
      subscribe: 'authenticated',
      publish: 'authenticated',
      delivery: 'ephemeral',
    },
    OPEN_RULE,
  ],
} as const satisfies WorldOptions

describe('an ephemeral topic', () => {
  test('[P11][P1][W21] is ordered and live, without positions', async () => {
    await using world = await World.start(RULES)
    const heard = await Reader.live<number>(await world.join('bob'), 'typing:room')
    const client = await world.join('ada')
    const acks = await Promise.all(
      range(1, 100).map((number) => client.publish('typing:room', number)),
    )
    await heard.received(100)
    expect(heard.payloads).toEqual(range(1, 100))
    expect(heard.messages[0]).toMatchObject({ seq: 0, epoch: '', from: 'ada', own: false })
    expect(acks[0]).toMatchObject({ seq: 0, epoch: '', deliveredTo: 1, duplicate: false })
    expect(heard.subscribed).toEqual([
      { recovered: false, position: { epoch: '', seq: 0 }, replayed: 0 },
    ])
  })

  test('[P11][W13][L2] keeps nothing: no history, no rewind, no memory of ids', async () => {
    await using world = await World.start(RULES)
    const client = await world.join('ada')
    const first = await client.publish('typing:room', 'a', { id: 'same' })
    const again = await client.publish('typing:room', 'another', { id: 'same' })
    expect([first.duplicate, again.duplicate]).toEqual([false, false])
    expect(await client.history('typing:room')).toEqual({
      topic: 'typing:room',
      epoch: '',
      seq: 0,
      messages: [],
      more: false,
    })
    const heard = await Reader.live(client, 'typing:room', { rewind: 10 })
    expect(heard.messages).toEqual([])
    expect(world.service.getStats().bounds).toMatchObject({
      retainedBytes: { used: 0 },
      idempotencyIds: { used: 0 },
    })
  })

  test('[P11] what was said while the line was gone is not replayed, and no gap is announced', async () => {
    await using world = await World.start(RULES)
    const line = await world.line()
    const reader = await world.join('bob', { url: line.url })
    const [typing, kept] = [
      await Reader.live(reader, 'typing:room'),
      await Reader.live(reader, 'open:room'),
    ]
    for (const topic of ['typing:room', 'open:room']) await world.service.publish(topic, 'before')
    await Promise.all([typing.received(1), kept.received(1)])
    line.refuse()
    line.cut()
    await until(() => reader.status === 'reconnecting', 'the reader to lose its line')
    for (const topic of ['typing:room', 'open:room']) await world.service.publish(topic, 'missed')
    line.accept()
    await until(() => typing.subscribed.length === 2, 'the topic to be live again')
    for (const topic of ['typing:room', 'open:room']) await world.service.publish(topic, 'after')
    await Promise.all([typing.received(2), kept.received(3)])
    expect(typing.payloads).toEqual(['before', 'after'])
    expect(typing.gaps).toEqual([])
    expect(typing.subscribed[1]).toMatchObject({ recovered: false, replayed: 0 })
    expect(kept.payloads).toEqual(['before', 'missed', 'after'])
  })

  test('[P11] nothing waits: offline it is `not_connected`, as soon as the topic is known', async () => {
    await using world = await World.start(RULES)
    const line = await world.line()
    const client = world.client('ada', { url: line.url })
    // Before the first connection nobody knows what the topic is.
    const early = failureOf(client.publish('typing:room', 'early'))
    const kept = client.publish('open:room', 'kept')
    expect(client.getStats().queueSize).toBe(2)
    await client.connect()
    expect(await early).toMatchObject({ code: 'not_connected' })
    expect(await kept).toMatchObject({ seq: 1 })

    line.refuse()
    line.cut()
    await until(() => client.status === 'reconnecting', 'the client to lose its line')
    const late = await failureOf(client.publish('typing:room', 'late'))
    expect(late).toMatchObject({ code: 'not_connected', retryable: true })
    expect(late.details).toBeUndefined()
  })

  test('[P11][P5] one that was on the wire when the line went is not resent, and its outcome is not known', async () => {
    await using world = await World.start(RULES)
    const line = await world.line()
    const client = await world.join('ada', { url: line.url })
    const heard = await Reader.live(await world.join('bob'), 'typing:room')
    line.stall('down')
    const failure = failureOf(client.publish('typing:room', 'once'))
    await heard.received(1)
    line.cut()
    line.flow()
    expect(await failure).toMatchObject({
      code: 'not_connected',
      details: { outcome: 'unknown' },
    })
    await until(() => client.status === 'connected', 'the client to be back')
    await client.publish('typing:room', 'next')
    await heard.received(2)
    expect(heard.payloads).toEqual(['once', 'next'])
  })

  test('[P11][R8] where the rules are kept back, the subscription shows what kind of topic it is', async () => {
    await using world = await World.start({ ...RULES, shareRules: false })
    const line = await world.line()
    const client = await world.join('ada', { url: line.url })
    await Reader.live(client, 'typing:room')
    line.refuse()
    line.cut()
    await until(() => client.status === 'reconnecting', 'the client to lose its line')
    const failure = await failureOf(client.publish('typing:room', 'late'))
    expect(failure.code).toBe('not_connected')
  })

  test('[P11][L8] a slow reader gets the newest of it, and is not ended for that', async () => {
    await using world = await World.start({
      ...RULES,
      limits: { maxBufferedBytes: 1_024 * 1_024, hardMaxBufferedBytes: 4 * 1_024 * 1_024 },
    })
    const line = await world.line()
    const heard = await Reader.live<{ number: number }>(
      await world.join('bob', { url: line.url }),
      'typing:room',
    )
    line.stall('down')
    // Far more than may wait for anybody, and than the sockets in between can hold.
    const text = 'x'.repeat(60_000)
    for (const number of range(1, 300)) await world.service.publish('typing:room', { number, text })
    line.flow()
    await until(() => heard.payloads.at(-1)?.number === 300, 'the newest')
    const numbers = heard.payloads.map(({ number }) => number)
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b))
    expect(numbers.length).toBeLessThan(300)
    expect(heard.gaps).toEqual([])
    expect(heard.messages.some((message) => 'skipped' in message)).toBe(false)
    expect(world.service.getStats().connections).toBe(1)
  })
})
