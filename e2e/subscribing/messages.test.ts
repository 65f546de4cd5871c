import { describe, expect, test } from 'vitest'
import { gate } from '../gate.js'
import { World } from '../harness.js'
import { Reader } from '../reader.js'
import { until } from '../until.js'

const COMPOSED = 'open:caf\u00e9'
const DECOMPOSED = 'open:cafe\u0301'

describe('the spelling of a topic', () => {
  test('[T1] each listener gets the spelling back that it subscribed; on the wire there is one', async () => {
    await using world = await World.start()
    const client = await world.join('ada')
    const composed = await Reader.live(client, COMPOSED)
    const decomposed = await Reader.live(client, DECOMPOSED)
    const ack = await client.publish(DECOMPOSED, 'hello')
    await Promise.all([composed.received(1), decomposed.received(1)])

    expect(composed.messages[0]?.topic).toBe(COMPOSED)
    expect(decomposed.messages[0]?.topic).toBe(DECOMPOSED)
    expect([composed.subscription.topic, decomposed.subscription.topic]).toEqual([
      COMPOSED,
      DECOMPOSED,
    ])
    // Acknowledgements and the server name it as it is normalised.
    expect(ack.topic).toBe(COMPOSED)
    expect((await client.history(DECOMPOSED)).topic).toBe(COMPOSED)
    expect(world.service.channels().map(({ name }) => name)).toEqual([COMPOSED])
    expect(client.getStats()).toMatchObject({ subscriptions: 2, topics: 1 })
  })

  test('[T1][C2] also after the line was gone', async () => {
    await using world = await World.start()
    const line = await world.line()
    const client = await world.join('ada', { url: line.url })
    const heard = await Reader.live(client, DECOMPOSED)
    line.cut()
    await until(() => client.status === 'reconnecting', 'the client to lose its line')
    await world.service.publish(COMPOSED, 'missed')
    await heard.received(1)
    expect(heard.messages[0]).toMatchObject({ topic: DECOMPOSED, payload: 'missed' })
  })
})

describe('what a listener is told', () => {
  test('[W21][P4] whether the message is its own client’s, and whose it is', async () => {
    await using world = await World.start()
    const [ada, again, bob] = [
      await world.join('ada'),
      await world.join('ada'),
      await world.join('bob'),
    ]
    const readers = await Promise.all(
      [ada, again, bob].map((client) => Reader.live(client, 'open:news')),
    )
    await ada.publish('open:news', 'by ada')
    await again.publish('open:news', 'by ada, elsewhere')
    await world.service.publish('open:news', 'by the server')
    await world.service.publish('open:news', 'for bob', { from: 'bob' })
    await Promise.all(readers.map((heard) => heard.received(4)))

    const told = readers.map((heard) => heard.messages.map(({ own, from }) => [own, from]))
    const from = ['ada', 'ada', null, 'bob']
    expect(told).toEqual([
      [true, false, false, false].map((own, index) => [own, from[index]]),
      [false, true, false, false].map((own, index) => [own, from[index]]),
      [false, false, false, false].map((own, index) => [own, from[index]]),
    ])
    const [message] = readers[2]?.messages ?? []
    expect(message).toMatchObject({ type: 'event', topic: 'open:news', seq: 1, payload: 'by ada' })
    expect(message?.id).toMatch(/^[\w-]{1,64}$/)
    expect(message?.timestamp).toBeTypeOf('number')
  })

  test('[R4] system notifications reach every user', async () => {
    await using world = await World.start()
    const heard = await Reader.live(await world.join('ada'), 'system:notifications')
    const ack = await world.service.broadcastSystemNotification('warning', 'Deploy at noon', {
      minutes: 5,
    })
    await heard.received(1)
    expect(heard.payloads).toEqual([
      { level: 'warning', message: 'Deploy at noon', data: { minutes: 5 } },
    ])
    expect(ack).toMatchObject({ topic: 'system:notifications', deliveredTo: 1 })
  })

  test('[P9][W12] `ready` means live: what is acknowledged after it is delivered', async () => {
    await using world = await World.start()
    const [reader, writer] = [await world.join('ada'), await world.join('bob')]
    const topics = Array.from({ length: 30 }, (_, index) => `open:topic-${index}`)
    const readers = topics.map((topic) => new Reader(reader, topic))
    // Each is published to in the very turn in which its subscription says that it is live.
    const acks = await Promise.all(
      readers.map(async ({ subscription }, index) => {
        await subscription.ready
        return writer.publish(topics[index] ?? '', index)
      }),
    )
    await Promise.all(readers.map((heard) => heard.received(1)))
    expect(acks.map(({ deliveredTo }) => deliveredTo)).toEqual(topics.map(() => 1))
    expect(readers.map(({ payloads }) => payloads)).toEqual(topics.map((_, index) => [index]))
  })
})

describe('topics that are subscribed together', () => {
  test('[P2][P9][W10] what comes to one of them while another is still being judged follows the answer, once', async () => {
    const slow = gate()
    await using world = await World.start({
      channels: [
        { match: 'open:slow', subscribe: () => slow.passed.then(() => true) },
        { match: 'open:*', subscribe: 'authenticated', publish: 'authenticated' },
      ],
    })
    const client = await world.join('ada')
    const [quick, late] = [new Reader(client, 'open:quick'), new Reader(client, 'open:slow')]
    const isJoined = (): boolean => world.service.channels()[0]?.subscribers === 1
    await until(isJoined, 'the server to have joined the first')
    for (const number of [1, 2]) await world.service.publish('open:quick', number)
    expect(quick.log).toEqual([])
    slow.open()
    await Promise.all([late.subscription.ready, quick.received(2)])
    await world.service.publish('open:quick', 3)
    await quick.received(3)
    expect(quick.log).toEqual(['subscribed', 1, 2, 3])
    expect(quick.gaps).toEqual([])
  })
})

describe('what a client may ask beforehand', () => {
  test('[R8][R3][R1] canAccessChannel and canPublishToChannel go by the rules that the server sent', async () => {
    await using world = await World.start({
      channels: [
        { match: 'staff:*', subscribe: { role: 'staff' }, publish: { permission: 'post' } },
        { match: 'asked:*', subscribe: () => false },
      ],
    })
    const client = world.client('ada')
    // Nobody is told no as long as nothing is known.
    expect(client.canAccessChannel('staff:lunch', 'user', 'ada')).toBe(true)
    await client.connect()
    expect(client.canAccessChannel('staff:lunch', 'user', 'ada')).toBe(false)
    expect(client.canAccessChannel('staff:lunch', 'staff', 'bob')).toBe(true)
    expect(client.canAccessChannel('staff:lunch', 'admin', 'root')).toBe(true)
    expect(client.canPublishToChannel('staff:lunch', 'staff', 'bob', [])).toBe(false)
    expect(client.canPublishToChannel('staff:lunch', 'staff', 'bob', ['post'])).toBe(true)
    expect(client.canAccessChannel('asked:x', 'user', 'ada')).toBe(true)
    expect(client.canPublishToChannel('asked:x', 'user', 'ada')).toBe(false)
    expect(client.canAccessChannel('user:ada:inbox', 'user', 'ada')).toBe(true)
    expect(client.canAccessChannel('user:ada2:inbox', 'user', 'ada')).toBe(false)
    expect(client.canAccessChannel('public:news', 'user', 'ada')).toBe(true)
    expect(client.canAccessChannel('elsewhere', 'user', 'ada')).toBe(false)
  })
})
