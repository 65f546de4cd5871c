import type { OutboxEvent, RealtimeClient } from '@bmt-central/realtime'
import { seededRandom, virtualRuntime } from '@bmt-central/realtime-protocol/testing'
import { describe, expect, test } from 'vitest'
import { World } from '../harness.js'
import { range, Reader } from '../reader.js'
import { until, within } from '../until.js'

const TOPIC = 'open:line'

/** What the stream holds. */
async function streamOf(world: World): Promise<unknown[]> {
  const { messages } = await world.service.history(TOPIC, { limit: 500 })
  return messages.map(({ payload }) => payload)
}

/** What is told of each publish, by id. */
function outboxOf(client: RealtimeClient): Map<string, OutboxEvent['state'][]> {
  const told = new Map<string, OutboxEvent['state'][]>()
  client.onOutbox(({ id, state }) => told.set(id, [...(told.get(id) ?? []), state]))
  return told
}

describe('the line is cut', () => {
  test('[P2][P4][P5][C2] before the acknowledgement: the resend is recognised, nobody hears it twice', async () => {
    await using world = await World.start()
    const line = await world.line()
    const watcher = await Reader.live(await world.join('bob'), TOPIC)
    const client = await world.join('ada', { url: line.url })
    const own = await Reader.live(client, TOPIC)
    const told = outboxOf(client)
    let appended = 0
    world.service.on('publish', () => (appended += 1))

    line.stall('down')
    const acks = range(1, 3).map((number) => client.publish(TOPIC, number, { id: `m${number}` }))
    await until(() => appended === 3, 'the server to accept all three')
    line.cut()
    line.flow()

    expect(await within(Promise.all(acks), 'the acknowledgements')).toMatchObject([
      { messageId: 'm1', seq: 1, duplicate: true },
      { messageId: 'm2', seq: 2, duplicate: true },
      { messageId: 'm3', seq: 3, duplicate: true },
    ])
    await client.publish(TOPIC, 4)
    await Promise.all([watcher.received(4), own.received(4)])
    for (const heard of [watcher, own]) expect(heard.payloads).toEqual([1, 2, 3, 4])
    expect(own.messages.map((message) => message.own)).toEqual([true, true, true, true])
    expect(appended).toBe(4)
    expect(told.get('m1')).toEqual(['queued', 'sent', 'queued', 'sent', 'acknowledged'])
    expect(client.getStats()).toMatchObject({ reconnectCount: 1, queueSize: 0, failed: 0 })
  })

  test('[P1][P4][P5] before the publishes reached the server: they are sent again, in order', async () => {
    await using world = await World.start()
    const line = await world.line()
    const watcher = await Reader.live(await world.join('bob'), TOPIC)
    const client = await world.join('ada', { url: line.url })
    const told = outboxOf(client)

    line.stall('up')
    const acks = range(1, 3).map((number) => client.publish(TOPIC, number, { id: `m${number}` }))
    await until(() => told.get('m3')?.at(-1) === 'sent', 'the client to send all three')
    line.cut()
    line.flow()

    expect(await within(Promise.all(acks), 'the acknowledgements')).toMatchObject([
      { seq: 1, duplicate: false },
      { seq: 2, duplicate: false },
      { seq: 3, duplicate: false },
    ])
    await watcher.received(3)
    expect(watcher.payloads).toEqual([1, 2, 3])
    expect(client.getStats().reconnectCount).toBe(1)
  })

  test('[P4][P5] after the acknowledgement: nothing is sent again', async () => {
    await using world = await World.start()
    const line = await world.line()
    const client = await world.join('ada', { url: line.url })
    const told = outboxOf(client)
    const ack = await client.publish(TOPIC, 1, { id: 'm1' })
    line.cut()
    await until(() => client.getStats().reconnectCount === 1, 'the client to be back')
    await client.publish(TOPIC, 2)

    expect(ack).toMatchObject({ messageId: 'm1', seq: 1, duplicate: false })
    expect(told.get('m1')).toEqual(['queued', 'sent', 'acknowledged'])
    expect(await streamOf(world)).toEqual([1, 2])
  })

  test('[P1][W12] in the middle of a burst, while more is published: the stream has all, in call order, once', async () => {
    await using world = await World.start()
    const line = await world.line()
    const client = await world.join('ada', { url: line.url })
    const watcher = await Reader.live(await world.join('bob'), TOPIC)
    let appended = 0
    world.service.on('publish', () => {
      appended += 1
      // The acknowledgements of the last ones before the cut never arrive.
      if (appended === 30) line.stall('down')
      if (appended === 60) line.cut()
    })

    const acks = range(1, 100).map((number) => client.publish(TOPIC, number))
    await until(() => client.status === 'reconnecting', 'the client to lose its line')
    acks.push(...range(101, 150).map((number) => client.publish(TOPIC, number)))
    line.flow()

    const settled = await within(Promise.all(acks), 'the acknowledgements')
    expect(settled.map(({ seq }) => seq)).toEqual(range(1, 150))
    expect(settled.filter(({ duplicate }) => duplicate).length).toBeGreaterThanOrEqual(30)
    await watcher.received(150)
    expect(watcher.payloads).toEqual(range(1, 150))
    expect(await streamOf(world)).toEqual(range(1, 150))
  })

  test('[P1][P2][P4][P5][C2] again and again, at moments of chance, for reader and writer', async () => {
    await using world = await World.start()
    const random = seededRandom(7)
    const [writing, reading] = [await world.line(), await world.line()]
    const writer = await world.join('ada', { url: writing.url })
    const reader = await world.join('bob', { url: reading.url })
    const heard = await Reader.live(reader, TOPIC)
    // Every few appended or heard messages one of the lines goes, some with what is on its way back.
    let appended = 0
    let nextCut = 10
    world.service.on('publish', () => {
      appended += 1
      if (appended === nextCut - 3 && random() < 0.5) writing.stall('down')
      if (appended < nextCut && appended < 170) return
      nextCut = appended + 5 + Math.floor(random() * 25)
      for (const line of random() < 0.3
        ? [writing, reading]
        : [random() < 0.6 ? writing : reading]) {
        line.cut()
      }
      writing.flow()
    })

    const acks: Promise<{ seq: number }>[] = []
    for (const number of range(1, 170)) {
      acks.push(writer.publish(TOPIC, number))
      if (number % 10 === 0) await until(() => appended >= number - 30, 'the burst to get on')
    }
    const settled = await within(Promise.all(acks), 'the acknowledgements')
    await heard.received(170)

    expect(settled.map(({ seq }) => seq)).toEqual(range(1, 170))
    expect(heard.payloads).toEqual(range(1, 170))
    expect(heard.seqs).toEqual(range(1, 170))
    expect(heard.gaps).toEqual([])
    expect(await streamOf(world)).toEqual(range(1, 170))
    expect(writer.getStats().reconnectCount).toBeGreaterThanOrEqual(1)
    expect(reader.getStats().reconnectCount).toBeGreaterThanOrEqual(1)
  })
})

describe('the line is gone for a while', () => {
  test('[P1][P5][C2] what is published meanwhile waits, and follows in call order', async () => {
    await using world = await World.start()
    const line = await world.line()
    const client = await world.join('ada', { url: line.url })
    line.refuse()
    line.cut()
    await until(() => client.status === 'reconnecting', 'the client to lose its line')
    const acks = range(1, 50).map((number) => client.publish(TOPIC, number))
    await until(() => line.attempts >= 4, 'some attempts to fail')
    expect(client.getStats()).toMatchObject({ status: 'reconnecting', queueSize: 50 })
    line.accept()

    const settled = await within(Promise.all(acks), 'the acknowledgements')
    expect(settled.map(({ seq }) => seq)).toEqual(range(1, 50))
    expect(await streamOf(world)).toEqual(range(1, 50))
    expect(client.getStats()).toMatchObject({ queueSize: 0, reconnectCount: 1 })
  })

  test.each([['both ways', []] as const, ['on the way back', ['down']] as const])(
    '[C5][W2][P2][P4][P5] dead but not closed, %s: the heartbeat finds it, and all goes on over a new line',
    async (_, directions) => {
      await using world = await World.start({ heartbeatInterval: 1_000 })
      const line = await world.line()
      // The client's time is the test's: nobody waits for its 10 s of silence.
      const runtime = virtualRuntime()
      const client = await world.join('ada', { url: line.url, runtime })
      const heard = await Reader.live(client, TOPIC)
      const watcher = await Reader.live(await world.join('bob'), TOPIC)
      const before = client.getStats().connectionId

      line.stall(...directions)
      const ack = client.publish(TOPIC, 1)
      await world.service.publish(TOPIC, 'meanwhile')
      await runtime.advance(1_000)
      await runtime.advance(9_999)
      expect(client.status).toBe('connected')
      await runtime.advance(1)
      expect(client.status).toBe('reconnecting')
      line.flow()
      await runtime.advance(200)
      await until(() => client.status === 'connected', 'the client to be back')
      await within(ack, 'the acknowledgement')
      await heard.received(2)

      await watcher.received(2)
      expect(heard.payloads).toEqual(watcher.payloads)
      expect(heard.seqs).toEqual([1, 2])
      expect(heard.gaps).toEqual([])
      expect(client.getStats().reconnectCount).toBe(1)
      // The server knew nothing of the death of the old connection: the new one took its place.
      const connections = world.service.connections({ userId: 'ada' })
      expect(connections.map(({ connectionId }) => connectionId)).toEqual([
        client.getStats().connectionId,
      ])
      expect(before).not.toBe(client.getStats().connectionId)
    },
  )

  test('[C5][P2][P4][P5] dead on the way there only: the heartbeat finds it', async () => {
    await using world = await World.start({ heartbeatInterval: 1_000 })
    const line = await world.line()
    const runtime = virtualRuntime()
    const client = await world.join('ada', { url: line.url, runtime })
    const heard = await Reader.live(client, TOPIC)
    line.stall('up')
    const ack = client.publish(TOPIC, 'mine')
    await runtime.advance(500)
    await world.service.publish(TOPIC, 'meanwhile')
    await heard.received(1)
    expect(heard.payloads).toEqual(['meanwhile'])
    await runtime.advance(500 + 9_999)
    expect(client.status).toBe('connected')
    await runtime.advance(1)
    expect(client.status).toBe('reconnecting')
    line.flow()
    await runtime.advance(200)

    expect(await within(ack, 'the acknowledgement')).toMatchObject({ seq: 2 })
    await heard.received(2)
    expect([heard.payloads, heard.gaps]).toEqual([['meanwhile', 'mine'], []])
    expect(client.getStats().reconnectCount).toBe(1)
  })

  test('[C5] slow, but alive: it is no dead line', async () => {
    await using world = await World.start({ heartbeatInterval: 1_000 })
    const line = await world.line()
    const runtime = virtualRuntime()
    const client = await world.join('ada', { url: line.url, runtime })
    line.delay(50)
    await runtime.advance(1_000)
    const beats = line.bytes('down')
    await until(() => line.bytes('down') > beats, 'the answer to the heartbeat')
    await until(() => client.getStats().latencyMs !== null, 'the client to have heard it')
    await runtime.advance(10_000)
    await client.publish(TOPIC, 1)
    expect(client.getStats()).toMatchObject({ status: 'connected', reconnectCount: 0 })
  })
})
