import {
  closeSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentLogger, type Logger, type Topic } from '@bmt-central/realtime-protocol'
import { virtualRuntime, type VirtualRuntime } from '@bmt-central/realtime-protocol/testing'
import type { Accepted, BrokerLimits, StreamPage } from '@bmt-central/realtime-server/broker'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { DiskBroker } from './disk-broker.js'
import { META } from './keys.js'
import type { MetaRecord } from './state-records.js'
import { putJson, Store } from './store.js'
import { KEEP_ALL, LIMITS } from './testing/room.js'

const TOPIC = 'room' as Topic
/** More than a start takes in by itself. */
const MANY = 12_000
const EVERYTHING = { since: { epoch: 'another', seq: 0 }, limit: 20_000, maxBytes: 2 ** 28 }

const place = {
  folder: '',
  runtime: virtualRuntime() as VirtualRuntime,
  brokers: [] as DiskBroker[],
  reports: [] as string[],
}

beforeEach(() => {
  place.folder = mkdtempSync(join(tmpdir(), 'disk-start-up-'))
  place.runtime = virtualRuntime({ seed: 1 })
  place.reports = []
})

afterEach(async () => {
  await Promise.all(place.brokers.splice(0).map((broker) => broker.close()))
  rmSync(place.folder, { recursive: true, force: true })
})

interface StartFacts {
  readonly bootId?: string
  readonly limits?: Partial<BrokerLimits>
  readonly path?: string
}

async function started(
  facts: StartFacts = {},
): Promise<{ broker: DiskBroker; windowEpoch: string }> {
  const { bootId = 'one boot', limits = {}, path = place.folder } = facts
  const logger: Logger = { ...silentLogger, error: (event) => void place.reports.push(event) }
  const broker = new DiskBroker({ path }, { bootId })
  place.brokers.push(broker)
  const sink = { publication: () => undefined, lost: () => undefined, state: () => undefined }
  const context = {
    limits: { ...LIMITS, maxIdempotencyIds: 1_000_000, ...limits },
    runtime: place.runtime,
    logger,
  }
  const { windowEpoch } = await broker.start(sink, context)
  return { broker, windowEpoch }
}

const jsonOf = (id: string): string => JSON.stringify(`text of ${id};${'.'.repeat(40)}`)
const bytesOf = (...ids: string[]): number => ids.map(jsonOf).join('').length

async function publish(broker: DiskBroker, id: string, topic = TOPIC): Promise<Accepted> {
  const payloadJson = jsonOf(id)
  const draft = { id, from: 'ada', payloadJson, payloadBytes: payloadJson.length, hash: id }
  return broker.publish(topic, draft, { ...KEEP_ALL, size: 100_000 })
}

const numbered = (count: number): string[] =>
  Array.from({ length: count }, (_, index) => `m-${index + 1}`)

/** A store in which `MANY` ids are remembered, ended cleanly. */
async function filled(topic = TOPIC): Promise<{ results: Accepted[]; windowEpoch: string }> {
  const { broker, windowEpoch } = await started()
  const results: Accepted[] = []
  for (let from = 0; from < MANY; from += 2_000) {
    const ids = numbered(MANY).slice(from, from + 2_000)
    results.push(...(await Promise.all(ids.map((id) => publish(broker, id, topic)))))
  }
  await broker.close()
  return { results, windowEpoch }
}

const file = (): string => join(place.folder, 'store.lmdb')

/** What a kill leaves behind: the store of a clean end is marked as in use. */
async function markInUse(): Promise<void> {
  rmSync(join(place.folder, 'clean.json'))
  const store = Store.open(file(), { fsync: 'always' })
  const meta = store.json<MetaRecord>(META)
  if (!meta) throw new Error('the store says nothing of itself')
  await store.write([putJson(META, { ...meta, openOnBoot: 'one boot' })])
  await store.close()
}

/** Flips one bit of a text wherever it stands, in place. */
function damage(text: string): void {
  const bytes = readFileSync(file())
  let count = 0
  for (let at = bytes.indexOf(text); at >= 0; at = bytes.indexOf(text, at + 1)) {
    bytes[at + 2] = (bytes[at + 2] ?? 0) ^ 1
    count += 1
  }
  expect(count).toBeGreaterThan(0)
  writeFileSync(file(), bytes)
}

/** Flips one bit of a text in the file of a store that is open; the second time that is undone. */
function flipInPlace(text: string): void {
  const bytes = readFileSync(file())
  const descriptor = openSync(file(), 'r+')
  for (let at = bytes.indexOf(text); at >= 0; at = bytes.indexOf(text, at + 1)) {
    writeSync(descriptor, Buffer.of((bytes[at] ?? 0) ^ 1), 0, 1, at)
  }
  closeSync(descriptor)
}

/** Lets the broker read what it has not read at the start. */
async function readIds(): Promise<void> {
  await place.runtime.advance(0)
}

test('[P4] right after a start publishes wait until all accepted ids are read; subscribes and reads do not', async () => {
  const { results, windowEpoch } = await filled()
  const { broker, windowEpoch: windowNow } = await started()
  expect(windowNow).toBe(windowEpoch)

  const settled: string[] = []
  const note = async (result: Promise<Accepted>): Promise<Accepted> => {
    const accepted = await result
    settled.push(`${accepted.seq}`)
    return accepted
  }
  const [first, last, fresh] = [
    note(publish(broker, 'm-1')),
    note(publish(broker, `m-${MANY}`)),
    note(publish(broker, 'fresh')),
  ]
  const known = broker.accepted(TOPIC, { from: 'ada', id: 'm-2', hash: 'm-2' })
  const follows = broker.follows(TOPIC, 'ada', 'm-3')
  expect(broker.subscribers(TOPIC, 1).position.seq).toBe(MANY)
  const page = await broker.read(TOPIC, { limit: 3, maxBytes: 10_000 })
  expect(page.publications.map(({ seq }) => seq)).toEqual([MANY - 2, MANY - 1, MANY])
  expect(settled).toEqual([])
  expect(broker.stats().bounds).toMatchObject({
    waitingForIds: { used: 5, cap: 10_000 },
    waitingForIdsBytes: { used: bytesOf('m-1', `m-${MANY}`, 'fresh'), cap: 64 * 2 ** 20 },
    waitingAppends: { used: 0, cap: 10_000 },
  })

  await readIds()
  expect(await first).toEqual({ ...results[0], duplicate: true })
  expect(await last).toEqual({ ...results.at(-1), duplicate: true })
  expect(await known).toEqual({ ...results[1], duplicate: true })
  expect(await follows).toBe(true)
  expect(await fresh).toMatchObject({ seq: MANY + 1, duplicate: false, deliveredTo: 1 })
  expect(broker.stats().idempotencyIds).toBe(MANY + 1)
})

test('[P1] what waited at the start is published in the order in which it came', async () => {
  await filled()
  const { broker } = await started()
  const ids = numbered(50).map((id) => `later-${id}`)
  const results = Promise.all(ids.map((id) => publish(broker, id)))
  await readIds()
  expect((await results).map(({ seq }) => seq)).toEqual(ids.map((_, index) => MANY + index + 1))
})

test('[P4][P6] closed while it reads its ids: what waits is refused, and nothing is lost', async () => {
  const { results } = await filled()
  const { broker } = await started()
  const waiting = publish(broker, 'never').catch((error: unknown) => error)
  await broker.close()
  expect(await waiting).toMatchObject({ code: 'broker_unavailable', retryable: true })

  const { broker: next } = await started()
  const [again, fresh] = [publish(next, 'm-1'), publish(next, 'never')]
  await readIds()
  expect(await again).toEqual({ ...results[0], duplicate: true })
  expect(await fresh).toMatchObject({ seq: MANY + 1, duplicate: false })
  expect(place.reports).toEqual([])
})

test('[P7] no more than so many wait at the start; the others are refused', async () => {
  await filled()
  const { broker } = await started()
  const outcomes = numbered(10_002).map((id) =>
    publish(broker, `new-${id}`).then(
      () => 'published',
      (error: unknown) => (error as { code: string }).code,
    ),
  )
  expect(await Promise.all(outcomes.slice(10_000))).toEqual([
    'broker_unavailable',
    'broker_unavailable',
  ])
  await readIds()
  expect(new Set(await Promise.all(outcomes.slice(0, 10_000)))).toEqual(new Set(['published']))
})

test('[P7] no more than 64 MiB wait at the start; what holds nothing waits all the same', async () => {
  await filled()
  const { broker } = await started()
  const half = (id: string): Promise<Accepted> => {
    // What it says it takes is what it is counted by.
    const draft = { id, from: 'ada', payloadJson: '"half"', payloadBytes: 32 * 2 ** 20, hash: id }
    return Promise.resolve(broker.publish(TOPIC, draft, { ...KEEP_ALL, size: 100_000 }))
  }
  const taken = [half('one'), half('two')]
  await expect(publish(broker, 'too much')).rejects.toMatchObject({
    code: 'broker_unavailable',
    retryable: true,
  })
  const known = broker.accepted(TOPIC, { from: 'ada', id: 'm-1', hash: 'm-1' })
  await readIds()
  expect((await Promise.all(taken)).map(({ seq }) => seq)).toEqual([MANY + 1, MANY + 2])
  expect(await known).toMatchObject({ seq: 1, duplicate: true })
  expect(await publish(broker, 'too much')).toMatchObject({ seq: MANY + 3 })
})

test('[P4][P6] while ids cannot be read publishes are refused; it is tried again, and nothing is forgotten', async () => {
  const { results } = await filled()
  const { broker } = await started()
  const waiting = publish(broker, 'm-1').catch((error: unknown) => error)
  const [last, changed] = ['m-11999', 'l-11999']
  flipInPlace(last)
  await readIds()
  const refusal = { code: 'broker_unavailable', retryable: true }
  expect(await waiting).toMatchObject(refusal)
  await expect(publish(broker, 'm-1')).rejects.toMatchObject(refusal)
  await place.runtime.advance(5_000)
  await expect(publish(broker, 'm-1')).rejects.toMatchObject(refusal)
  expect(place.reports).toEqual(['accepted ids cannot be read; publishes are refused meanwhile'])

  flipInPlace(changed)
  await place.runtime.advance(1_000)
  expect(await publish(broker, 'm-1')).toEqual({ ...results[0], duplicate: true })
  expect(await publish(broker, last)).toEqual({ ...results[MANY - 2], duplicate: true })
  expect(await publish(broker, 'fresh')).toMatchObject({ seq: MANY + 1, duplicate: false })
})

test('[L17] ids whose window is over are not read, whatever is found of them', async () => {
  const { windowEpoch } = await filled()
  await place.runtime.advance(LIMITS.idempotencyWindowMs)
  const { broker, windowEpoch: windowNow } = await started()
  // Nothing to wait for: no turn of the event loop has passed.
  expect(await publish(broker, 'm-1')).toMatchObject({ seq: MANY + 1, duplicate: false })
  expect(broker.stats().idempotencyIds).toBe(1)
  expect(windowNow).toBe(windowEpoch)
})

test('[L17] of more ids than may be remembered the newest are read, and how long is said at once', async () => {
  await filled()
  await place.runtime.advance(10_000)
  const { broker: before } = await started()
  const more = publish(before, 'newest')
  await readIds()
  await more
  await before.close()
  const { broker } = await started({ limits: { maxIdempotencyIds: 100 } })
  const { idempotencyIds, idempotencyWindowMs } = broker.stats()
  expect(idempotencyIds).toBeGreaterThan(0)
  expect(idempotencyIds).toBeLessThanOrEqual(100)
  expect(idempotencyWindowMs).toBe(10_000)
  expect(await publish(broker, 'newest')).toMatchObject({ duplicate: true })
})

test('[P4] damaged ids give a new window, said at the start and once', async () => {
  const { windowEpoch } = await filled()
  damage('m-7')
  const { windowEpoch: second, broker } = await started()
  expect(second).not.toBe(windowEpoch)
  expect(place.reports).toContain(
    'records of accepted ids are damaged: clients are told that all are lost',
  )
  await broker.close()
  const reported = place.reports.length
  expect((await started()).windowEpoch).toBe(second)
  expect(place.reports).toHaveLength(reported)
})

test('[P4] a stream that is repaired before all ids are read keeps its ids', async () => {
  const { results } = await filled()
  await markInUse()
  damage('text of m-7;')
  const { broker } = await started()
  // Some ids are read by now, some are not.
  const page = await broker.read(TOPIC, EVERYTHING)
  expect(page.publications).toHaveLength(MANY - 1)
  expect(page.epoch).not.toBe(results[0]?.epoch)
  const [first, last] = [publish(broker, 'm-1'), publish(broker, `m-${MANY}`)]
  await readIds()
  expect(await first).toEqual({ ...results[0], duplicate: true })
  expect(await last).toEqual({ ...results.at(-1), duplicate: true })
})

test('[P4][L17] a topic forgotten before its ids are read: how long they were known is told', async () => {
  await filled()
  const { broker: before } = await started()
  const last = publish(before, 'last', 'forgotten' as Topic)
  await readIds()
  expect(await last).toMatchObject({ seq: 1 })
  await before.close()
  await place.runtime.advance(20_000)

  const limits = { maxTopics: 1 }
  const { broker, windowEpoch } = await started({ limits })
  broker.subscribers(TOPIC, 1)
  expect(broker.stats().idempotencyWindowMs).toBe(LIMITS.idempotencyWindowMs)
  // Two are known at once: a third one takes the place of the one that nobody reads.
  broker.subscribers('third' as Topic, 1)
  expect(broker.stats().idempotencyWindowMs).toBe(20_000)
  await readIds()
  expect(broker.stats()).toMatchObject({ idempotencyIds: MANY, idempotencyWindowMs: 20_000 })
  await broker.close()
  const next = await started({ limits })
  expect(next.windowEpoch).toBe(windowEpoch)
  expect(next.broker.stats().idempotencyWindowMs).toBe(20_000)
})

test('[P4][L17] what the number cut short is known after a crash, too: it is committed with what cut it', async () => {
  const limits = { maxIdempotencyIds: 40 }
  const { broker, windowEpoch } = await started({ limits })
  for (const id of numbered(100)) {
    await place.runtime.advance(1_000)
    await publish(broker, id)
  }
  const { idempotencyWindowMs } = broker.stats()
  expect(idempotencyWindowMs).toBeLessThan(40_000)
  // What a crash leaves, while the directory is still held.
  const copy = join(place.folder, 'copy')
  mkdirSync(copy)
  copyFileSync(file(), join(copy, 'store.lmdb'))
  // With room for more: what is there now has no need of a cut.
  const crashed = await started({ path: copy })
  expect(crashed.windowEpoch).toBe(windowEpoch)
  expect(crashed.broker.stats()).toMatchObject({ idempotencyWindowMs })
})

test('[P3][P6] after the end of the process alone streams are not looked through: what a disk damaged is found by who reads it', async () => {
  const { results } = await filled()
  await markInUse()
  damage('text of m-7;')
  const { broker } = await started()
  expect(place.reports).toEqual([])
  const newest = await broker.read(TOPIC, { limit: 1, maxBytes: 10_000 })
  expect(newest).toMatchObject({ epoch: results[0]?.epoch, head: MANY })
  const page = await broker.read(TOPIC, EVERYTHING)
  expectRepaired(page, results)
  expect(place.reports).toEqual(['records of a stream are damaged: it has a new epoch'])
})

test('[P3][P6] after the end of the machine, or in a copy, streams are looked through at the start', async () => {
  const { results } = await filled()
  await markInUse()
  damage('text of m-7;')
  const { broker } = await started({ bootId: 'another boot' })
  expect(place.reports).toEqual(['the store was damaged and is repaired'])
  expectRepaired(await broker.read(TOPIC, EVERYTHING), results)
  await broker.close()

  await markInUse()
  damage('text of m-9;')
  copyFileSync(file(), `${file()}.copy`)
  renameSync(`${file()}.copy`, file())
  await started()
  expect(place.reports).toHaveLength(2)
})

function expectRepaired(page: StreamPage, results: readonly Accepted[]): void {
  expect(page.epoch).not.toBe(results[0]?.epoch)
  const survivors = numbered(MANY).filter((id) => id !== 'm-7')
  expect(page.publications.map(({ id }) => id)).toEqual(survivors)
}
