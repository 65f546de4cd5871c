import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentLogger, type Logger, type Topic } from '@bmt-central/realtime-protocol'
import { virtualRuntime } from '@bmt-central/realtime-protocol/testing'
import type { StreamPage, StreamPolicy } from '@bmt-central/realtime-server/broker'
import { DiskBroker } from '../disk-broker.js'
import { snapshotOf, type Snapshot } from '../inspect/format.js'
import { PageFile } from '../inspect/page-file.js'
import { walkTree } from '../inspect/tree.js'
import { KIND, kindOf, numberOf, seqOf } from '../keys.js'
import { KEEP_ALL, LIMITS } from './room.js'

export const PAGE_BYTES = 4_096
export const EVERYTHING = { since: { epoch: 'another', seq: 0 }, limit: 1_000, maxBytes: 2 ** 26 }
const SMALL = ['red', 'green', 'blue'] as unknown as readonly Topic[]
const LARGE = 'large' as Topic
/** Keeps its last ten. */
const SHORT = 'short' as Topic
/** Has a position, and keeps no publication. */
const NONE = 'none' as Topic
export const TOPICS: readonly Topic[] = [...SMALL, LARGE, SHORT, NONE]
const EACH = 60

/** Bytes of the file. */
export interface Place {
  readonly at: number
  readonly end: number
}

/** One publication that was acknowledged and is retained, and where all of it stands in the file. */
export interface Stored {
  readonly topic: Topic
  readonly id: string
  readonly seq: number
  readonly places: readonly Place[]
}

/** A store after a clean end, all that was told of it, and where everything is. */
export interface Written {
  readonly bytes: Buffer
  readonly pages: ReadonlyMap<Topic, StreamPage>
  readonly baseEpoch: string
  readonly windowEpoch: string
  /** Payload of everything that was ever acknowledged, by its topic and id. */
  readonly acknowledged: ReadonlyMap<string, string>
  /** Every position that was told to anybody. */
  readonly told: Set<string>
  readonly stored: readonly Stored[]
  readonly branchPages: readonly number[]
  readonly leafPages: readonly number[]
  readonly overflowPages: readonly number[]
  readonly snapshot: Snapshot
}

export interface Running {
  readonly broker: DiskBroker
  readonly windowEpoch: string
  /** Errors that were reported. */
  readonly reports: { event: string; facts: Record<string, unknown> }[]
}

/** A directory for one store, whose brokers are closed at the end. */
export class Folder {
  readonly path: string = mkdtempSync(join(tmpdir(), 'disk-damage-'))
  readonly file: string = join(this.path, 'store.lmdb')
  readonly #brokers: DiskBroker[] = []
  #starts = 0

  async start(path: string = this.path): Promise<Running> {
    this.#starts += 1
    // Epochs of one start are never those of another one.
    const runtime = virtualRuntime({ seed: this.#starts })
    const reports: Running['reports'] = []
    const error: Logger['error'] = (event, facts = {}) => void reports.push({ event, facts })
    const broker = new DiskBroker({ path })
    const sink = { publication: () => undefined, lost: () => undefined, state: () => undefined }
    const logger = { ...silentLogger, error }
    const { windowEpoch } = await broker.start(sink, { limits: LIMITS, runtime, logger })
    this.#brokers.push(broker)
    return { broker, windowEpoch, reports }
  }

  /** As a killed process leaves it: with these bytes, and without a note of a clean end. */
  put(bytes: Buffer): void {
    this.clear()
    writeFileSync(this.file, bytes)
  }

  clear(): void {
    rmSync(this.path, { recursive: true, force: true })
    mkdirSync(this.path, { recursive: true })
  }

  async closeAll(): Promise<void> {
    await Promise.all(this.#brokers.splice(0).map((broker) => broker.close()))
  }
}

const nameOf = (topic: string, id: string): string => `${topic} ${id}`

function draftOf(topic: Topic, number: number) {
  const length = topic === LARGE ? 5_000 + number * 70 : 200
  const payloadJson = JSON.stringify(`${topic}-text-${number};${'.'.repeat(length)}`)
  const id = `${topic}-${number}`
  return { id, from: 'ada', payloadJson, payloadBytes: payloadJson.length, hash: id }
}

const KEPT: Readonly<Record<string, number>> = { [SHORT]: 10, [NONE]: 0 }
const policyOf = (topic: Topic): StreamPolicy => ({
  ...KEEP_ALL,
  size: KEPT[topic] ?? KEEP_ALL.size,
})

/** Several topics, large publications and some that went, in a tree of two levels and a list of free pages. */
export async function writeStore(folder: Folder): Promise<Written> {
  const { broker, windowEpoch } = await folder.start()
  const acknowledged = new Map<string, string>()
  const told = new Set<string>()
  for (let number = 1; number <= EACH; number += 1) {
    const results = TOPICS.map(async (topic) => {
      if (topic === LARGE && number % 3 > 0) return
      const draft = draftOf(topic, number)
      const { epoch, seq } = await broker.publish(topic, draft, policyOf(topic))
      acknowledged.set(nameOf(topic, draft.id), draft.payloadJson)
      told.add(`${topic} ${epoch} ${seq}`)
    })
    await Promise.all(results)
  }
  const pages = new Map<Topic, StreamPage>()
  for (const topic of TOPICS) pages.set(topic, await broker.read(topic, EVERYTHING))
  const { epoch: baseEpoch } = await broker.read('unknown' as Topic, EVERYTHING)
  await folder.closeAll()
  const bytes = readFileSync(folder.file)
  const facts = { bytes, pages, baseEpoch, windowEpoch, acknowledged, told }
  return { ...facts, ...placesOf(folder.file, bytes, pages) }
}

function placesOf(path: string, bytes: Buffer, pages: ReadonlyMap<Topic, StreamPage>) {
  const heads = [0, 1].map((number) => snapshotOf(bytes.subarray(number * PAGE_BYTES), number))
  const [snapshot] = heads
    .filter((head) => typeof head !== 'string')
    .sort((one, other) => other.transaction - one.transaction)
  if (snapshot === undefined) throw new Error('no head page')
  const topics = new Map<number, Topic>()
  const publications: { number: number; seq: number; places: Place[] }[] = []
  const [leafPages, overflowPages]: [number[], number[]] = [[], []]
  const marks = new Uint8Array(snapshot.lastPage + 1)
  const file = new PageFile(path)
  const problem = (text: string): never => {
    throw new Error(text)
  }
  walkTree({
    ...{ file, snapshot, marks, problem },
    kind: 'main',
    leaf: (page, number, nodes) => {
      leafPages.push(number)
      for (const { keyAt, keyBytes, valueAt, valueBytes, overflow, end } of nodes) {
        const key = Buffer.from(page.subarray(keyAt, keyAt + keyBytes))
        if (kindOf(key) === KIND.topic) {
          const json = page.toString('utf8', valueAt + 4, valueAt + valueBytes)
          topics.set(numberOf(key), (JSON.parse(json) as { topic: Topic }).topic)
        }
        if (kindOf(key) !== KIND.publication) continue
        const base = number * PAGE_BYTES
        const places = [{ at: base + keyAt - 8, end: base + end }]
        if (overflow !== null) {
          const at = overflow.page * PAGE_BYTES + 24
          places.push({ at, end: at + valueBytes })
          for (let each = 0; each < overflow.pages; each += 1) {
            overflowPages.push(overflow.page + each)
          }
        }
        publications.push({ number: numberOf(key), seq: seqOf(key), places })
      }
    },
  })
  file.close()
  const branchPages = [...marks.keys()].filter(
    (number) =>
      marks[number] === 1 && !leafPages.includes(number) && !overflowPages.includes(number),
  )
  const stored = publications.map(({ number, seq, places }) => {
    const topic = topics.get(number) as Topic
    const found = pages.get(topic)?.publications.find((publication) => publication.seq === seq)
    return { topic, id: found?.id ?? '', seq, places }
  })
  return { stored, branchPages, leafPages, overflowPages, snapshot }
}

/** What a start has served of a damaged store. */
export interface Served {
  readonly running: Running
  /** Topics that have the epoch from before. */
  readonly unchanged: readonly Topic[]
  /** How many publications of each topic. */
  readonly kept: Readonly<Record<string, number>>
  /** What must not be; empty where all is well. */
  readonly wrong: readonly string[]
}

/**
 * Starts a broker on bytes that came of a written store, and says what is against the promises: by the
 * bytes themselves it is known which publications are undamaged.
 */
export async function serveDamaged(
  folder: Folder,
  written: Written,
  bytes: Buffer,
): Promise<Served> {
  folder.put(bytes)
  const running = await folder.start()
  const { broker } = running
  const wrong: string[] = []
  const unchanged: Topic[] = []
  const kept: Record<string, number> = {}
  for (const topic of TOPICS) {
    const page = await broker.read(topic, EVERYTHING)
    const { publications } = page
    kept[topic] = publications.length
    const before = written.pages.get(topic)
    if (page.epoch === before?.epoch) {
      unchanged.push(topic)
      const same = JSON.stringify(page) === JSON.stringify(before)
      if (!same) wrong.push(`${topic}: another page in the same epoch`)
    }
    const order = publications.map(({ id }) => Number(id.split('-')[1]))
    if (order.some((each, index) => index > 0 && each <= (order[index - 1] ?? 0))) {
      wrong.push(`${topic}: not in order, or twice`)
    }
    for (const { id, payloadJson } of publications) {
      const first = written.acknowledged.get(nameOf(topic, id))
      if (first !== payloadJson) wrong.push(`${topic}: ${id} is not what was acknowledged`)
    }
    const ids = new Set(publications.map(({ id }) => id))
    for (const { topic: of, id, places } of written.stored) {
      if (of !== topic || ids.has(id)) continue
      const intact = places.every(({ at, end }) =>
        bytes.subarray(at, end).equals(written.bytes.subarray(at, end)),
      )
      if (intact) wrong.push(`${topic}: ${id} is undamaged and lost`)
    }
    const draft = { ...draftOf(topic, 999), id: 'afterwards' }
    const { epoch, seq } = await broker.publish(topic, draft, policyOf(topic))
    if (written.told.has(`${topic} ${epoch} ${seq}`)) wrong.push(`${topic}: ${seq} is given twice`)
  }
  const missing = written.stored.length - Object.values(kept).reduce((sum, each) => sum + each, 0)
  const { epoch } = await broker.read('unknown' as Topic, EVERYTHING)
  if (missing > 0 && epoch === written.baseEpoch) wrong.push('the base epoch stays')
  return { running, unchanged, kept, wrong }
}
