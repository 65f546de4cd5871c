import { rmSync } from 'node:fs'
import { headerOf } from '../inspect/format.js'
import { PageFile } from '../inspect/page-file.js'
import { KIND, keyOf, kindOf, META, numberOf, seqOf } from '../keys.js'
import { repairStream } from '../repair.js'
import { KEPT_WITHOUT_POLICY } from '../restore-damaged.js'
import { FORMAT, type MetaRecord } from '../state-records.js'
import { put, putJson, Store, type Change } from '../store.js'
import { Found, type FoundStream } from './found.js'
import { guessPageBytes } from './page-bytes.js'
import { RANK, rankPages, type Rank } from './page-ranks.js'
import { recordsOfPage } from './records-of-page.js'

/** What one transaction of the copy holds. */
const BATCH = { records: 5_000, bytes: 8 * 1_024 * 1_024 }

/** What was taken over, for the log. */
export interface Salvaged {
  readonly streams: number
  /** Streams that are certainly whole: they keep their epoch. */
  readonly wholeStreams: number
  readonly publications: number
  /** Publications that are missing or damaged, of topics whose own record is there. */
  readonly lost: number
}

/**
 * Copies what a file still holds into a new one, whatever its pages look like: it is read plainly,
 * and each record's own checksum decides. Streams that are certainly whole stay as they are; of all
 * others every undamaged publication is kept, in a new epoch [P3]. Base epoch and window are new:
 * topics and ids may be lost without a trace. The old file is only read.
 * @throws RealtimeError `invalid_options` where another version wrote the store
 */
export async function salvageFile(
  path: string,
  into: string,
  parts: { readonly overlapping: boolean; readonly newEpoch: () => string },
): Promise<Salvaged> {
  const file = new PageFile(path)
  try {
    const pageBytes = guessPageBytes(file)
    const ranks = rankPages(file, { pageBytes, overlapping: parts.overlapping })
    const source = { file, pageBytes, ranks }
    const found = new Found()
    for (const { key, body, rank } of records(source, inFileOrder(ranks))) {
      found.add(key, body, rank)
    }
    const streams = found.streams()
    for (const name of [into, `${into}-lock`]) rmSync(name, { force: true })
    const store = Store.open(into, { fsync: 'always' })
    try {
      await copy(source, streams, store)
      return await complete(store, { streams, found, newEpoch: parts.newEpoch })
    } finally {
      await store.close()
      rmSync(`${into}-lock`, { force: true })
    }
  } finally {
    file.close()
  }
}

interface Source {
  readonly file: PageFile
  readonly pageBytes: number
  readonly ranks: Uint8Array
}

interface RankedRecord {
  readonly key: Buffer
  readonly body: Buffer
  readonly rank: Rank
}

function* records(
  { file, pageBytes, ranks }: Source,
  pages: Iterable<number>,
): Generator<RankedRecord> {
  const padded = Buffer.alloc(pageBytes)
  for (const number of pages) {
    const rank = (ranks[number] ?? RANK.none) as Rank
    if (rank === RANK.none) continue
    let page = file.page(number, pageBytes)
    if (page === null) {
      // The last one is cut off somewhere.
      padded.fill(0)
      file.read(number * pageBytes, pageBytes).copy(padded)
      page = padded
    }
    for (const { key, body } of recordsOfPage(file, page, number)) {
      if (body !== null) yield { key, body, rank }
    }
  }
}

function* inFileOrder(ranks: Uint8Array): Generator<number> {
  for (let number = 0; number < ranks.length; number += 1) yield number
}

/**
 * Current pages in the order of the file, then the latest ones: of several versions of a record the
 * first one counts.
 */
function bestFirst({ file, pageBytes, ranks }: Source): Uint32Array {
  const transactions = new Float64Array(ranks.length)
  for (let number = 0; number < ranks.length; number += 1) {
    if (ranks[number] === RANK.current) continue
    const page = file.page(number, pageBytes)
    transactions[number] = page === null ? 0 : headerOf(page).transaction
  }
  const order = Uint32Array.from(ranks.keys())
  return order.sort(
    (one, other) =>
      (ranks[other] ?? 0) - (ranks[one] ?? 0) ||
      (transactions[other] ?? 0) - (transactions[one] ?? 0) ||
      one - other,
  )
}

/** Copies publications and accepted ids; what the store has already stays. */
async function copy(source: Source, streams: readonly FoundStream[], store: Store): Promise<void> {
  const byNumber = new Map(streams.map((stream) => [stream.number, stream]))
  let changes: Change[] = []
  let keys = new Set<string>()
  let bytes = 0
  const flush = async (): Promise<void> => {
    await store.write(changes)
    changes = []
    keys = new Set()
    bytes = 0
  }
  for (const record of records(source, bestFirst(source))) {
    const { key, body } = record
    if (!isTaken(record, byNumber)) continue
    const name = key.toString('latin1')
    if (keys.has(name) || store.get(key) !== undefined) continue
    keys.add(name)
    changes.push(put(key, body))
    bytes += body.length
    if (changes.length >= BATCH.records || bytes >= BATCH.bytes) await flush()
  }
  await flush()
}

function isTaken({ key, rank }: RankedRecord, byNumber: ReadonlyMap<number, FoundStream>): boolean {
  const kind = kindOf(key)
  if (kind === KIND.commit) return rank >= RANK.unknown
  if (kind !== KIND.publication) return false
  const stream = byNumber.get(numberOf(key))
  if (stream === undefined || (stream.whole && rank !== RANK.current)) return false
  const seq = seqOf(key)
  return seq >= stream.oldest && seq <= stream.last
}

/** Writes what belongs to the publications, stream by stream: memory is bounded by the largest one. */
async function complete(
  store: Store,
  parts: {
    readonly streams: readonly FoundStream[]
    readonly found: Found
    readonly newEpoch: () => string
  },
): Promise<Salvaged> {
  const { streams, found, newEpoch } = parts
  const sum = { streams: streams.length, wholeStreams: 0, publications: 0, lost: 0 }
  let { nextNumber } = found
  const wholes: Change[] = []
  for (const { number, topic, record, whole } of streams) {
    if (whole && record !== null) {
      wholes.push(putJson(keyOf(KIND.topic, number), record))
      sum.wholeStreams += 1
      sum.publications += record.head - record.oldest + 1
      if (wholes.length >= BATCH.records) await store.write(wholes.splice(0))
      continue
    }
    const into = { number: nextNumber, epoch: newEpoch() }
    nextNumber += 1
    const policy = record?.policy ?? KEPT_WITHOUT_POLICY
    const { changes, facts } = repairStream(store, { number, policy }, into)
    const usedAtMs = record?.usedAtMs ?? found.clockAtMs
    const earlier = record === null ? {} : { earlier: { number, epoch: record.epoch } }
    const after = { topic, usedAtMs, ...facts, ...earlier }
    await store.write([...changes, putJson(keyOf(KIND.topic, into.number), after)])
    sum.publications += facts.head
    if (record !== null) sum.lost += Math.max(0, record.head - record.oldest + 1 - facts.head)
  }
  const { currentMeta, clockAtMs } = found
  const meta: MetaRecord = {
    format: FORMAT,
    baseEpoch: newEpoch(),
    windowEpoch: newEpoch(),
    // Where it is lost no stream is whole, and there is no tail that could be lost besides.
    fsync: currentMeta?.fsync ?? 'always',
    openOnBoot: currentMeta?.openOnBoot ?? null,
    openFile: '',
    nextNumber,
    clockAtMs,
    cut: null,
  }
  await store.write([...wholes, putJson(META, meta)])
  return sum
}
