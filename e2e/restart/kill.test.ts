import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { RealtimeClient, RealtimeError } from '@bmt-central/realtime'
import { seededRandom } from '@bmt-central/realtime-protocol/testing'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Reader } from '../reader.js'
import { until, within } from '../until.js'
import { KilledServer } from './killed-server.js'

// More of it: KILLS=100 SEED=7 npx vitest run --project e2e e2e/restart
const KILLS = Number(process.env['KILLS'] ?? 6)
const SEED = Number(process.env['SEED'] ?? 1)
const SUBSCRIBERS = 20
const IN_FLIGHT = 16
const TOPIC = 'public:killed'

const place = { folder: '', clients: [] as RealtimeClient[] }

beforeEach(() => {
  place.folder = mkdtempSync(join(tmpdir(), 'realtime-kill-'))
})

afterEach(async () => {
  await Promise.all(place.clients.splice(0).map((client) => client.close()))
  rmSync(place.folder, { recursive: true, force: true })
})

function clientOf(url: string, user: string): RealtimeClient {
  const client = new RealtimeClient({
    url,
    auth: `dev:${user}`,
    reconnect: { baseMs: 100, capMs: 200 },
  })
  place.clients.push(client)
  return client
}

async function read(url: string, user: string): Promise<Reader<number>> {
  const client = clientOf(url, user)
  await client.connect()
  return await Reader.live<number>(client, TOPIC)
}

test(
  `[P1][P2][P4][P6] a server that is killed ${KILLS} times under load loses, doubles and reorders nothing`,
  async () => {
    await using server = await KilledServer.start(join(place.folder, 'data'))
    const readings = await Promise.all(
      Array.from({ length: SUBSCRIBERS }, (_, index) => read(server.url, `reader-${index}`)),
    )
    const writer = clientOf(server.url, 'writer')
    await writer.connect()

    const said = { count: 0, stop: false }
    const acknowledged = new Map<string, { number: number; epoch: string; seq: number }>()
    const refused: RealtimeError[] = []
    const write = async (): Promise<void> => {
      while (!said.stop) {
        said.count += 1
        const number = said.count
        try {
          const { messageId, epoch, seq } = await writer.publish(TOPIC, number)
          acknowledged.set(messageId, { number, epoch, seq })
        } catch (error) {
          if (!(error instanceof RealtimeError)) throw error
          refused.push(error)
        }
      }
    }
    const writing = Promise.all(Array.from({ length: IN_FLIGHT }, write))

    const random = seededRandom(SEED)
    for (let kill = 1; kill <= KILLS; kill += 1) {
      const before = acknowledged.size
      await until(() => acknowledged.size > before + 20, `publishes before kill ${kill}`)
      // The moment is the seed's: somewhere in a commit, an answer or a fan-out.
      await pause(random() * 100)
      await server.kill()
      await server.start()
    }
    const before = acknowledged.size
    await until(() => acknowledged.size > before + 20, 'publishes after the last kill')
    said.stop = true
    await within(writing, 'the end of all publishes')

    const heads = [...acknowledged.values()].map(({ seq }) => seq)
    const head = Math.max(...heads)
    for (const { messages } of readings) {
      await until(
        () => (messages.at(-1)?.seq ?? 0) >= head,
        'all messages',
        () => messages.length,
      )
    }

    // All of it in one epoch: what a restart forgot would have begun another.
    expect(new Set([...acknowledged.values()].map(({ epoch }) => epoch)).size).toBe(1)
    expect(new Set(heads).size).toBe(acknowledged.size)
    for (const { messages, gaps } of readings) {
      expect(gaps).toEqual([])
      expect(messages.map(({ seq }) => seq)).toEqual(messages.map((_, index) => index + 1))
      const numbers = messages.map(({ payload }) => payload)
      expect(numbers).toEqual(numbers.toSorted((one, other) => one - other))
      expect(new Set(messages.map(({ id }) => id)).size).toBe(messages.length)
      const heard = new Map(
        messages.map(({ id, payload, epoch, seq }) => [id, { payload, epoch, seq }]),
      )
      for (const [id, { number, epoch, seq }] of acknowledged) {
        expect(heard.get(id)).toEqual({ payload: number, epoch, seq })
      }
      // One place never means two messages, whoever looks.
      expect(messages.map(({ id }) => id)).toEqual(readings[0]?.messages.map(({ id }) => id))
    }
    expect(refused).toEqual([])
    if (process.env['KILLS'] !== undefined) console.log(`${acknowledged.size} acknowledged`)
  },
  120_000 + KILLS * 10_000,
)
