import { virtualRuntime } from '@bmt-central/realtime-protocol/testing'
import { describe, expect, test } from 'vitest'
import { World } from '../harness.js'
import { range, Reader } from '../reader.js'
import { until, within } from '../until.js'

// What `order/line.test.ts` shows of one wire, where each request has its own.
const TOPIC = 'open:polled'
const POLLING = { transports: ['polling'] as ('polling' | 'websocket')[] }

describe('a line of polls is cut', () => {
  test('[P2][P4][P5] before the acknowledgement: the resend is recognised, nobody hears it twice', async () => {
    await using world = await World.start()
    const line = await world.line()
    const watcher = await Reader.live(await world.join('bob'), TOPIC)
    const client = await world.join('ada', { url: line.url, ...POLLING })
    const own = await Reader.live(client, TOPIC)
    let appended = 0
    world.service.on('publish', () => (appended += 1))

    line.stall('down')
    const acks = range(1, 3).map((number) => client.publish(TOPIC, number, { id: `m${number}` }))
    // The next request waits for the answer of the first.
    await until(() => appended >= 1, 'the server to accept the first')
    line.cut()
    line.flow()

    const settled = await within(Promise.all(acks), 'the acknowledgements')
    await client.publish(TOPIC, 4)
    await Promise.all([watcher.received(4), own.received(4)])
    expect(settled.map(({ messageId, seq }) => [messageId, seq])).toEqual([
      ['m1', 1],
      ['m2', 2],
      ['m3', 3],
    ])
    expect(settled[0]?.duplicate).toBe(true)
    for (const heard of [watcher, own]) {
      expect([heard.payloads, heard.seqs, heard.gaps]).toEqual([range(1, 4), range(1, 4), []])
    }
    expect(appended).toBe(4)
    expect(client.getStats()).toMatchObject({ reconnectCount: 1, queueSize: 0, failed: 0 })
  })

  test('[P1][P4][P5] before the publishes reached the server: they are sent again, in order', async () => {
    await using world = await World.start()
    const line = await world.line()
    const watcher = await Reader.live(await world.join('bob'), TOPIC)
    const client = await world.join('ada', { url: line.url, ...POLLING })
    const attempts = line.attempts
    line.stall()
    const acks = range(1, 3).map((number) => client.publish(TOPIC, number))
    await until(() => line.attempts > attempts && line.wires.length >= 2, 'the request')
    expect((await world.service.history(TOPIC)).messages).toEqual([])
    line.cut()
    line.flow()

    const settled = await within(Promise.all(acks), 'the acknowledgements')
    await watcher.received(3)
    expect(settled).toMatchObject(range(1, 3).map((seq) => ({ seq, duplicate: false })))
    expect(watcher.payloads).toEqual([1, 2, 3])
    expect(client.getStats().reconnectCount).toBe(1)
  })

  test('[P4][P5] after the acknowledgement: nothing is sent again', async () => {
    await using world = await World.start()
    const line = await world.line()
    const client = await world.join('ada', { url: line.url, ...POLLING })
    const ack = await client.publish(TOPIC, 1)
    await until(() => {
      // Between two polls there is nothing to cut.
      line.cut()
      return client.status === 'reconnecting'
    }, 'the client to lose its line')
    await until(() => client.status === 'connected', 'the client to be back')
    await client.publish(TOPIC, 2)

    expect(ack).toMatchObject({ seq: 1, duplicate: false })
    const { messages } = await world.service.history(TOPIC)
    expect(messages.map(({ payload }) => payload)).toEqual([1, 2])
  })
})

test.each([
  ['both ways', []] as const,
  ['on the way there', ['up']] as const,
  ['on the way back', ['down']] as const,
])(
  '[C5][W2][P2][P4][P5] polls that are dead but not closed, %s: the heartbeat finds it, and all goes on over new ones',
  async (_, directions) => {
    await using world = await World.start({ heartbeatInterval: 1_000 })
    const line = await world.line()
    const runtime = virtualRuntime()
    const client = await world.join('ada', { url: line.url, runtime, ...POLLING })
    const heard = await Reader.live(client, TOPIC)
    const watcher = await Reader.live(await world.join('bob'), TOPIC)

    line.stall(...directions)
    const ack = client.publish(TOPIC, 'mine')
    await world.service.publish(TOPIC, 'meanwhile')
    // A poll that is open already still brings what the server has to say.
    if (directions[0] === 'up') await heard.received(1)
    await runtime.advance(1_000 + 9_999)
    expect(client.status).toBe('connected')
    await runtime.advance(1)
    expect(client.status).toBe('reconnecting')
    line.flow()
    await runtime.advance(200)
    await within(ack, 'the acknowledgement')
    await Promise.all([heard.received(2), watcher.received(2)])

    expect(heard.payloads).toEqual(watcher.payloads)
    expect(new Set(heard.payloads)).toEqual(new Set(['meanwhile', 'mine']))
    expect([heard.seqs, heard.gaps]).toEqual([[1, 2], []])
    expect(client.getStats().reconnectCount).toBe(1)
    expect(world.service.connections({ userId: 'ada' })).toMatchObject([
      { connectionId: client.getStats().connectionId, transport: 'polling' },
    ])
  },
)
