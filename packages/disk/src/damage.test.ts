import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentLogger, type Logger, type Topic } from '@bmt-central/realtime-protocol'
import { virtualRuntime } from '@bmt-central/realtime-protocol/testing'
import type { StreamPage } from '@bmt-central/realtime-server/broker'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { DiskBroker } from './disk-broker.js'
import { KEEP_ALL, LIMITS } from './testing/room.js'

const EVERYTHING = { since: { epoch: 'another', seq: 0 }, limit: 1_000, maxBytes: 8_388_608 }
const TOPICS = ['red', 'green', 'blue'] as unknown as readonly Topic[]
const EACH = 20

const place = { folder: '', brokers: [] as DiskBroker[], reports: [] as string[] }

beforeEach(() => {
  place.folder = mkdtempSync(join(tmpdir(), 'disk-damage-'))
  place.reports = []
})

afterEach(async () => {
  await Promise.all(place.brokers.splice(0).map((broker) => broker.close()))
  rmSync(place.folder, { recursive: true, force: true })
})

async function started(): Promise<{ broker: DiskBroker; windowEpoch: string }> {
  const runtime = virtualRuntime({ seed: place.reports.length + place.brokers.length + 1 })
  const logger: Logger = { ...silentLogger, error: (event) => void place.reports.push(event) }
  const broker = new DiskBroker({ path: place.folder })
  place.brokers.push(broker)
  const sink = { publication: () => undefined, lost: () => undefined, state: () => undefined }
  const { windowEpoch } = await broker.start(sink, { limits: LIMITS, runtime, logger })
  return { broker, windowEpoch }
}

/** A store with `EACH` publications in every topic, ended cleanly; what it held. */
async function filled(): Promise<{ pages: Map<Topic, StreamPage>; baseEpoch: string }> {
  const { broker } = await started()
  for (let number = 1; number <= EACH; number += 1) {
    for (const topic of TOPICS) {
      const payloadJson = JSON.stringify(`${topic}-text-${number};${'.'.repeat(200)}`)
      const id = `${topic}-${number}`
      const draft = { id, from: 'ada', payloadJson, payloadBytes: payloadJson.length, hash: id }
      await broker.publish(topic, draft, KEEP_ALL)
    }
  }
  const pages = new Map<Topic, StreamPage>()
  for (const topic of TOPICS) pages.set(topic, await broker.read(topic, EVERYTHING))
  const { epoch: baseEpoch } = await broker.read('unknown' as Topic, EVERYTHING)
  await broker.close()
  return { pages, baseEpoch }
}

const file = (): string => join(place.folder, 'store.lmdb')

/** Flips one bit in the middle of a text, wherever it stands. */
function damage(text: string): number {
  const bytes = readFileSync(file())
  let count = 0
  for (let at = bytes.indexOf(text); at >= 0; at = bytes.indexOf(text, at + 1)) {
    bytes[at + 2] = (bytes[at + 2] ?? 0) ^ 1
    count += 1
  }
  writeFileSync(file(), bytes)
  return count
}

test('[P3][P6] of a stream with flipped bytes all others are kept, in a new epoch; other streams go on', async () => {
  const { pages, baseEpoch } = await filled()
  expect(damage('green-text-7;')).toBeGreaterThan(0)
  const { broker } = await started()

  const green = await broker.read('green' as Topic, EVERYTHING)
  expect(green.epoch).not.toBe(pages.get('green' as Topic)?.epoch)
  expect(green.gap?.reason).toBe('epoch_changed')
  const survivors = Array.from({ length: EACH }, (_, index) => `green-${index + 1}`)
  expect(green.publications.map(({ id }) => id)).toEqual(survivors.filter((id) => id !== 'green-7'))
  expect(green.publications.map(({ seq }) => seq)).toEqual(
    green.publications.map((_, index) => index + 1),
  )
  for (const topic of ['red', 'blue'] as unknown as Topic[]) {
    expect(await broker.read(topic, EVERYTHING)).toEqual(pages.get(topic))
  }
  expect(place.reports).toEqual(['the store was damaged and is repaired'])
  expect((await broker.read('unknown' as Topic, EVERYTHING)).epoch).not.toBe(baseEpoch)

  // Repaired is repaired: the next start has nothing to say.
  await broker.close()
  const again = await started()
  expect(await again.broker.read('green' as Topic, EVERYTHING)).toEqual(green)
  expect(place.reports).toHaveLength(1)
})

test('[L2][P3] a file that is no store is set aside, never deleted, and a new base epoch begins', async () => {
  const { baseEpoch } = await filled()
  truncateSync(file(), 5_000)
  const before = readFileSync(file())
  const { broker } = await started()
  const kept = readdirSync(place.folder).filter((name) => name.includes('damaged'))
  expect(kept).toHaveLength(1)
  expect(readFileSync(join(place.folder, kept[0] ?? '')).equals(before)).toBe(true)
  const page = await broker.read('red' as Topic, EVERYTHING)
  expect(page).toMatchObject({ head: 0, publications: [] })
  expect(page.epoch).not.toBe(baseEpoch)
  expect(place.reports).toHaveLength(1)
})

test('[P6] a second broker on the directory is refused at once, and after the first one it is not', async () => {
  const { broker } = await started()
  await expect(started()).rejects.toMatchObject({ code: 'broker_unavailable' })
  await broker.close()
  await expect(started()).resolves.toBeDefined()
})
