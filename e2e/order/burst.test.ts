import { expect, test } from 'vitest'
import { gate } from '../gate.js'
import { World } from '../harness.js'
import { range, Reader } from '../reader.js'
import { toldLimits } from '../told-limits.js'
import { within } from '../until.js'

/** Publishes 1 to `count` without waiting, and waits for all of them together. */
async function publishAtOnce(
  client: { publish: (topic: string, payload: unknown) => Promise<{ seq: number }> },
  count: number,
): Promise<number[]> {
  const acks = await within(
    Promise.all(range(1, count).map((number) => client.publish('open:burst', number))),
    'all acknowledgements',
  )
  return acks.map(({ seq }) => seq)
}

test('[P1][L6][W6] 300 publishes at once arrive in call order, and the server refuses none', async () => {
  await using world = await World.start()
  const refused: string[] = []
  world.service.on('denied', ({ code }) => refused.push(code))
  const heard = await Reader.live(await world.join('bob'), 'open:burst')

  const seqs = await publishAtOnce(await world.join('ada'), 300)

  await heard.received(300)
  expect(heard.payloads).toEqual(range(1, 300))
  expect(heard.seqs).toEqual(range(1, 300))
  expect(seqs).toEqual(range(1, 300))
  expect(refused).toEqual([])
})

test('[P1][P4][L6][W12] told a burst of 10,000, refused at 200: the stream has all 300, in call order, none twice', async () => {
  await using world = await World.start()
  const refused: string[] = []
  world.service.on('denied', ({ code }) => refused.push(code))
  const heard = await Reader.live(await world.join('bob'), 'open:burst')
  const createLink = toldLimits(world.url, { publishBurst: 10_000, publishesPerSecond: 10_000 })
  const client = await world.join('ada', { parts: { createLink } })

  const seqs = await publishAtOnce(client, 300)

  await heard.received(300)
  expect(heard.payloads).toEqual(range(1, 300))
  expect(seqs).toEqual(range(1, 300))
  // It was refused indeed, and what followed a refused one never overtook it.
  expect(refused.filter((code) => code === 'rate_limited').length).toBeGreaterThan(0)
  expect(new Set(refused)).toEqual(new Set(['rate_limited', 'out_of_order']))
  const { messages } = await world.service.history<number>('open:burst', { limit: 500 })
  expect(messages.map(({ payload }) => payload)).toEqual(range(1, 300))
  expect(client.getStats()).toMatchObject({ acknowledged: 300, failed: 0, queueSize: 0 })
})

test('[P1][W6][W12] several topics at once: each keeps its own order, whatever the others wait for', async () => {
  const slow = gate()
  await using world = await World.start({
    channels: [
      {
        match: 'open:slow',
        subscribe: 'authenticated',
        publish: () => slow.passed.then(() => true),
      },
      { match: 'open:*', subscribe: 'authenticated', publish: 'authenticated' },
    ],
  })
  const reader = await world.join('bob')
  const topics = ['open:slow', 'open:a', 'open:b'] as const
  const [slowly, a, b] = await Promise.all(topics.map((topic) => Reader.live(reader, topic)))
  const client = await world.join('ada')

  const acks = range(1, 20).flatMap((number) =>
    topics.map((topic) => client.publish(topic, number)),
  )
  await a?.received(20)
  await b?.received(20)
  expect(slowly?.messages).toEqual([])
  slow.open()
  await within(Promise.all(acks), 'all acknowledgements')

  await slowly?.received(20)
  for (const heard of [slowly, a, b]) expect(heard?.payloads).toEqual(range(1, 20))
})
