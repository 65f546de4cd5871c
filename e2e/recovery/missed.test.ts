import { expect, test } from 'vitest'
import { World } from '../harness.js'
import { range, Reader } from '../reader.js'
import { until } from '../until.js'

const KIB = 1_024
const MIB = 1_024 * KIB

/** A payload whose JSON has exactly 8 KiB. */
const eightKib = (number: number): { number: number; text: string } => {
  const empty = JSON.stringify({ number, text: '' }).length
  return { number, text: 'x'.repeat(8 * KIB - empty) }
}

/** The server publishes them: no rate holds it back. */
async function publishAll(world: World, topic: string, numbers: readonly number[]): Promise<void> {
  await Promise.all(numbers.map((number) => world.service.publish(topic, eightKib(number))))
}

test('[P1][P2][W10][L16] 1,000 missed messages of 8 KiB come in pages, in order, each once, while another client publishes', async () => {
  await using world = await World.start({
    channels: [
      {
        match: 'open:*',
        subscribe: 'authenticated',
        publish: 'authenticated',
        history: { size: 5_000, bytes: 64 * MIB },
      },
    ],
  })
  const line = await world.line()
  const reader = await world.join('ada', { url: line.url })
  const writer = await world.join('bob')
  const heard = await Reader.live<{ number: number }>(reader, 'open:news')
  await writer.publish('open:news', { number: 0 })
  await heard.received(1)

  line.refuse()
  line.cut()
  await until(() => reader.status === 'reconnecting', 'the reader to lose its line')
  await publishAll(world, 'open:news', range(1, 1_000))
  const pages: { more: boolean; replayed: number }[] = []
  const publishing: Promise<unknown>[] = []
  const publishOne = (): void => {
    publishing.push(writer.publish('open:news', { number: 1_001 + publishing.length }))
  }
  // With every page that the one reads, the other publishes one more.
  world.service.on('subscribe', (event) => {
    pages.push(event)
    publishOne()
  })
  line.accept()
  await until(() => heard.subscribed.length === 2, 'the recovery to end')
  publishOne()
  await Promise.all(publishing)
  const published = publishing.length
  await heard.received(1_001 + published)

  expect(heard.seqs).toEqual(range(1, 1_001 + published))
  expect(heard.payloads.map(({ number }) => number)).toEqual(range(0, 1_000 + published))
  expect(heard.gaps).toEqual([])
  expect(heard.subscribed).toHaveLength(2)
  expect(heard.subscribed[1]?.recovered).toBe(true)
  // 32 of 8 KiB fill a page of 256 KiB: 1,000 take at least 32 pages, and only the last says so.
  expect(pages.length).toBeGreaterThanOrEqual(32)
  expect(pages.map(({ more }) => more)).toEqual([...pages.slice(1).map(() => true), false])
  expect(Math.max(...pages.slice(0, 31).map(({ replayed }) => replayed))).toBe(32)
  expect(reader.getStats()).toMatchObject({ reconnectCount: 1, duplicates: 0, gaps: 0 })
  // Of those published meanwhile, some were in its pages.
  expect(reader.getStats().recoveredMessages).toBeGreaterThan(1_000)
})

test('[P3][L2][L16] on the default limits what fell out is one gap, told first, and the rest comes whole', async () => {
  await using world = await World.start()
  const line = await world.line()
  const reader = await world.join('ada', { url: line.url })
  const heard = await Reader.live(reader, 'open:news')
  await world.service.publish('open:news', eightKib(0))
  await heard.received(1)

  line.refuse()
  line.cut()
  await until(() => reader.status === 'reconnecting', 'the reader to lose its line')
  // 1,000 publications and 8 MiB are kept: of 1,200 of 8 KiB, the last 1,000.
  await publishAll(world, 'open:news', range(1, 1_200))
  line.accept()
  await heard.reached(1_201)

  const { epoch } = heard.messages[0] ?? { epoch: '' }
  expect(heard.gaps).toEqual([{ from: 2, to: 201, epoch, reason: 'expired' }])
  expect(heard.log).toEqual(['subscribed', 1, 'gap', ...range(202, 1_201), 'subscribed'])
  expect(heard.subscribed[1]).toEqual({
    recovered: false,
    position: { epoch, seq: 1_201 },
    replayed: 1_000,
  })
  expect(reader.getStats()).toMatchObject({ reconnectCount: 1, duplicates: 0, gaps: 1 })
})

test('[P2][P3][L2] what falls out while the pages are being read is announced, too', async () => {
  await using world = await World.start({
    channels: [
      {
        match: 'open:*',
        subscribe: 'authenticated',
        publish: 'authenticated',
        history: { size: 100 },
      },
    ],
    limits: { maxPageMessages: 30 },
  })
  const line = await world.line()
  const reader = await world.join('ada', { url: line.url })
  const heard = await Reader.live(reader, 'open:news')
  line.refuse()
  line.cut()
  await until(() => reader.status === 'reconnecting', 'the reader to lose its line')
  await publishAll(world, 'open:news', range(1, 100))
  // Behind the first page, 150 more come at once: they push the rest of the first 100 out.
  let pages = 0
  const more: Promise<unknown>[] = []
  world.service.on('subscribe', () => {
    pages += 1
    if (pages === 1) more.push(publishAll(world, 'open:news', range(101, 250)))
  })
  line.accept()
  await heard.reached(250)
  await Promise.all(more)

  const { epoch } = heard.messages[0] ?? { epoch: '' }
  expect(heard.gaps).toEqual([{ from: 31, to: 150, epoch, reason: 'expired' }])
  expect(heard.log).toEqual([
    'subscribed',
    ...range(1, 30),
    'gap',
    ...range(151, 250),
    'subscribed',
  ])
  expect(heard.subscribed[1]).toMatchObject({ recovered: false, replayed: 130 })
})

test('[C2][P2][W10] 200 topics are restored at once, each from its own position', async () => {
  await using world = await World.start()
  const line = await world.line()
  const reader = await world.join('ada', { url: line.url })
  const topics = range(1, 200).map((number) => `open:topic-${number}`)
  const readers = await Promise.all(topics.map((topic) => Reader.live(reader, topic)))
  // Each topic is at a place of its own: 1, 2 or 3.
  const before = (index: number): number => 1 + (index % 3)
  const publish = (index: number, count: number): Promise<unknown>[] =>
    range(1, count).map((number) => world.service.publish(topics[index] ?? '', { number }))
  await Promise.all(readers.flatMap((_, index) => publish(index, before(index))))
  await Promise.all(readers.map((heard, index) => heard.received(before(index))))

  line.refuse()
  line.cut()
  await until(() => reader.status === 'reconnecting', 'the reader to lose its line')
  // Some topics miss nothing, others up to 6.
  const missed = (index: number): number => index % 7
  await Promise.all(readers.flatMap((_, index) => publish(index, missed(index))))
  const restored = new Set<string>()
  world.service.on('subscribe', ({ topic }) => restored.add(topic))
  line.accept()
  await until(
    () => readers.every(({ subscribed }) => subscribed.length === 2),
    'all topics to be live again',
    () => ({ restored: restored.size }),
  )
  await Promise.all(readers.map((_, index) => Promise.all(publish(index, 1))))
  await Promise.all(
    readers.map((heard, index) => heard.received(before(index) + missed(index) + 1)),
  )

  readers.forEach((heard, index) => {
    expect(heard.seqs).toEqual(range(1, before(index) + missed(index) + 1))
    expect(heard.gaps).toEqual([])
    expect(heard.subscribed[1]).toMatchObject({ recovered: true, replayed: missed(index) })
  })
  expect(restored.size).toBe(200)
  expect(world.service.getStats()).toMatchObject({ connections: 1, subscriptions: 200 })
})
