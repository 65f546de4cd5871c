import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { RealtimeClient } from '@bmt-central/realtime'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { TcpProxy } from '../proxy.js'
import { range } from '../reader.js'
import { within } from '../until.js'
import { Crowd } from './crowd.js'
import { KilledServer } from './killed-server.js'

const CLIENTS = 50
const SUBSCRIPTIONS = 5
const TOPICS = range(1, 10).map((number) => `public:storm-${number}`)
const RECONNECT = { baseMs: 100, capMs: 200 } as const

const place = { folder: '' }

beforeEach(() => {
  place.folder = mkdtempSync(join(tmpdir(), 'realtime-storm-'))
})

afterEach(() => {
  rmSync(place.folder, { recursive: true, force: true })
})

/** Says the next number in each topic, so many times, and gives the last acknowledgements. */
async function say(
  speaker: RealtimeClient,
  said: Map<string, number>,
  times: number,
): Promise<{ topic: string; seq: number; deliveredTo: number }[]> {
  const acks = range(1, times).flatMap(() =>
    TOPICS.map((topic) => {
      const number = (said.get(topic) ?? 0) + 1
      said.set(topic, number)
      return speaker.publish(topic, number)
    }),
  )
  return (await within(Promise.all(acks), 'the acknowledgements')).slice(-TOPICS.length)
}

test(`[P1][P2][P6][P9][C2] ${CLIENTS} clients with ${SUBSCRIPTIONS} subscriptions each come back at once to a server that was killed: nobody has lost anything`, async () => {
  await using server = await KilledServer.start(join(place.folder, 'data'))
  await using line = await TcpProxy.start(() => Number(new URL(server.url).port))
  await using crowd = await Crowd.join({
    url: line.url,
    clients: CLIENTS,
    topics: TOPICS,
    subscriptions: SUBSCRIPTIONS,
    reconnect: RECONNECT,
  })
  await using speaker = new RealtimeClient({
    url: server.url,
    auth: 'dev:speaker',
    reconnect: RECONNECT,
  })
  await speaker.connect()
  const said = new Map<string, number>()
  await say(speaker, said, 3)
  await crowd.isBack(said)

  for (const round of [1, 2]) {
    // Nobody of the crowd gets back before something was said that nobody of it can have heard.
    line.refuse()
    await server.kill()
    await crowd.isScattered()
    await server.start()
    const missed = await say(speaker, said, 4)
    expect(missed.map(({ deliveredTo }) => deliveredTo)).toEqual(TOPICS.map(() => 0))
    line.accept()
    // In the middle of the storm, too.
    await say(speaker, said, 2)
    await crowd.isBack(said)
    const returns = crowd.members.map(({ client }) => client.getStats().reconnectCount)
    expect(Math.min(...returns)).toBeGreaterThanOrEqual(round)
  }

  // The server counts every subscription once, and delivers to it.
  const last = await say(speaker, said, 1)
  await crowd.isBack(said)
  expect(last).toMatchObject(
    TOPICS.map((topic) => ({
      topic,
      seq: said.get(topic),
      deliveredTo: (CLIENTS * SUBSCRIPTIONS) / TOPICS.length,
    })),
  )
  expect(crowd.faults(said)).toEqual([])
})
