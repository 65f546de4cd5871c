import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentLogger, type Runtime, type Topic } from '@bmt-central/realtime-protocol'
import { virtualRuntime } from '@bmt-central/realtime-protocol/testing'
import type { Accepted, BrokerLimits, StreamPage } from '@bmt-central/realtime-server/broker'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { DiskBroker } from './disk-broker.js'
import { KIND, META } from './keys.js'
import type { MetaRecord } from './state-records.js'
import { putJson, Store } from './store.js'
import { KEEP_ALL, LIMITS } from './testing/room.js'

const [RED, GREEN, BLUE] = ['red', 'green', 'blue'] as unknown as readonly [Topic, Topic, Topic]
const WHOLE = { limit: 1_000, maxBytes: 2 ** 20 }
const SINK = { publication: () => undefined, lost: () => undefined, state: () => undefined }

const place = { folder: '', starts: 0, copies: 0, brokers: [] as DiskBroker[] }

beforeEach(() => {
  place.folder = mkdtempSync(join(tmpdir(), 'disk-unclean-'))
})

afterEach(async () => {
  await Promise.all(place.brokers.splice(0).map((broker) => broker.close()))
  rmSync(place.folder, { recursive: true, force: true })
})

interface StartFacts {
  readonly path?: string
  readonly fsync?: 'always' | 'interval'
  readonly bootId?: string
  readonly limits?: Partial<BrokerLimits>
  readonly runtime?: Runtime
}

async function started(
  facts: StartFacts = {},
): Promise<{ broker: DiskBroker; windowEpoch: string }> {
  const { path = home(), fsync = 'always', bootId = 'one boot', limits = {} } = facts
  place.starts += 1
  const broker = new DiskBroker({ path, fsync }, { bootId })
  place.brokers.push(broker)
  // Epochs of one start are never those of another one.
  const runtime = facts.runtime ?? virtualRuntime({ seed: place.starts })
  const context = { limits: { ...LIMITS, ...limits }, runtime, logger: silentLogger }
  return { broker, ...(await broker.start(SINK, context)) }
}

const home = (): string => join(place.folder, 'home')
const fileOf = (path: string): string => join(path, 'store.lmdb')

/** What a kill leaves at this moment: the file as the system has it, and no mark of a clean end. */
function leftByKill(): string {
  place.copies += 1
  const path = join(place.folder, `copy-${place.copies}`)
  mkdirSync(path)
  copyFileSync(fileOf(home()), fileOf(path))
  return path
}

async function publish(broker: DiskBroker, topic: Topic, id: string): Promise<Accepted> {
  const draft = { id, from: 'ada', payloadJson: '"text"', payloadBytes: 6, hash: id }
  return broker.publish(topic, draft, KEEP_ALL)
}

const whole = async (broker: DiskBroker, topic: Topic): Promise<StreamPage> =>
  broker.read(topic, WHOLE)
const baseEpochOf = async (broker: DiskBroker): Promise<string> =>
  (await whole(broker, 'unknown' as Topic)).epoch

test.each([
  ["'interval', the machine went down", 'interval', 'another boot', true],
  ["'interval', the process alone ended", 'interval', 'one boot', false],
  ["'always', the machine went down", 'always', 'another boot', false],
] as const)(
  '[P3][P4][P6] after an unclean end with fsync %s: what may be lost is announced, and nothing else',
  async (_what, fsync, bootId, announced) => {
    const { broker, windowEpoch } = await started({ fsync })
    const first = await publish(broker, RED, 'r-1')
    await publish(broker, RED, 'r-2')
    await publish(broker, GREEN, 'g-1')
    const before = [await whole(broker, RED), await whole(broker, GREEN)]
    const base = await baseEpochOf(broker)

    const next = await started({ path: leftByKill(), fsync, bootId })
    const after = [await whole(next.broker, RED), await whole(next.broker, GREEN)]
    expect(after.map(({ publications }) => publications.map(({ id }) => id))).toEqual([
      ['r-1', 'r-2'],
      ['g-1'],
    ])
    const changed = [
      ...after.map(({ epoch }, at) => epoch !== before[at]?.epoch),
      (await baseEpochOf(next.broker)) !== base,
      next.windowEpoch !== windowEpoch,
    ]
    expect(changed).toEqual([announced, announced, announced, announced])
    const again = await publish(next.broker, RED, 'r-1')
    expect([again.duplicate, again.seq]).toEqual(announced ? [false, 3] : [true, first.seq])
    const since = { epoch: first.epoch, seq: 2 }
    const { gap } = await next.broker.read(RED, { ...WHOLE, since })
    expect(gap?.reason).toBe(announced ? 'epoch_changed' : undefined)
  },
)

test("[P6] a clean end with fsync 'interval' is one on every boot: nothing is announced", async () => {
  const { broker, windowEpoch } = await started({ fsync: 'interval' })
  const first = await publish(broker, RED, 'r-1')
  await broker.close()
  const next = await started({ fsync: 'interval', bootId: 'another boot' })
  expect(next.windowEpoch).toBe(windowEpoch)
  expect(await publish(next.broker, RED, 'r-1')).toEqual({ ...first, duplicate: true })
})

test('[P6] a store of a newer version is refused, stays as it is, and the directory is free', async () => {
  const { broker } = await started()
  const first = await publish(broker, RED, 'r-1')
  await broker.close()
  const writeFormat = async (format: number): Promise<void> => {
    const store = Store.open(fileOf(home()), { fsync: 'always' })
    const meta = store.json<MetaRecord>(META)
    if (!meta) throw new Error('the store says nothing of itself')
    await store.write([putJson(META, { ...meta, format })])
    await store.close()
  }
  await writeFormat(2)
  for (let attempt = 1; attempt <= 2; attempt += 1) {
    const refusal = expect.objectContaining({
      code: 'invalid_options',
      message: expect.stringMatching(/format 2.* reads and writes 1/) as string,
    }) as Error
    await expect(started()).rejects.toEqual(refusal)
  }
  await writeFormat(1)
  const next = await started()
  expect(await publish(next.broker, RED, 'r-1')).toEqual({ ...first, duplicate: true })
})

test('[L2][L11][P6] a topic that was forgotten is forgotten after a kill, too, and leaves nothing', async () => {
  const limits = { maxTopics: 1 }
  const { broker } = await started({ limits })
  const first = await publish(broker, RED, 'r-1')
  await publish(broker, RED, 'r-2')
  await publish(broker, GREEN, 'g-1')
  expect((await whole(broker, RED)).head).toBe(2)
  await whole(broker, GREEN)
  await publish(broker, BLUE, 'b-1')
  expect((await whole(broker, RED)).head).toBe(0)
  const base = await baseEpochOf(broker)
  expect(base).not.toBe(first.epoch)

  const path = leftByKill()
  const next = await started({ path, limits: { maxTopics: 10 } })
  expect(await whole(next.broker, RED)).toMatchObject({ head: 0, epoch: base, publications: [] })
  expect((await whole(next.broker, GREEN)).head).toBe(1)
  const fresh = await publish(next.broker, RED, 'r-3')
  expect(fresh).toMatchObject({ epoch: base, seq: 1 })
  await next.broker.close()
  const store = Store.open(fileOf(path), { fsync: 'always' })
  expect([...store.records(KIND.publication)]).toHaveLength(3)
  expect([...store.records(KIND.doomed)]).toEqual([])
  await store.close()
})

const REAL: Pick<Runtime, 'wallNow' | 'monotonicNow' | 'after'> = {
  wallNow: () => Date.now(),
  monotonicNow: () => performance.now(),
  after: (ms, run) => {
    const timer = setTimeout(run, ms)
    return () => clearTimeout(timer)
  },
}

test('[P6] of ten that start at once on one directory one holds it; the others say why not', async () => {
  for (let round = 1; round <= 3; round += 1) {
    const starts = Array.from({ length: 10 }, async (_, at) => {
      const runtime = { ...virtualRuntime({ seed: round * 100 + at }), ...REAL }
      return started({ runtime })
    })
    const outcomes = await Promise.allSettled(starts)
    const won = outcomes.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
    const reasons = outcomes.flatMap((each) =>
      each.status === 'rejected' ? [each.reason as Error] : [],
    )
    expect(won).toHaveLength(1)
    expect(reasons).toHaveLength(9)
    for (const reason of reasons) {
      expect(reason).toMatchObject({
        code: 'broker_unavailable',
        message: expect.stringContaining('is held by another broker') as string,
      })
    }
    const [winner] = won
    expect(await winner?.broker.publish(RED, draftOf(round), KEEP_ALL)).toMatchObject({
      seq: round,
    })
    await winner?.broker.close()
  }
})

const draftOf = (round: number) => ({
  id: `round-${round}`,
  from: 'ada',
  payloadJson: '"text"',
  payloadBytes: 6,
  hash: 'same',
})
