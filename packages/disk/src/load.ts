import type { Logger } from '@bmt-central/realtime-protocol'
import type { StreamPolicy } from '@bmt-central/realtime-server/broker'
import { decodePublication, encodePublication, factsOf, type RecordFacts } from './record.js'
import { KIND, keyOf, numberOf, seqOf, type Store, type Writing } from './store.js'

/** What is kept of a topic besides its publications. Instants are wall clock. */
export interface TopicRecord {
  readonly topic: string
  readonly epoch: string
  readonly head: number
  /** Of the retained publications; `head + 1` where none is retained. */
  readonly oldest: number
  readonly usedAt: number
  readonly policy: Pick<StreamPolicy, 'size' | 'ttlMs' | 'bytes'>
}

export interface LoadedTopic extends TopicRecord {
  readonly number: number
  /** From `oldest` to `head`. */
  readonly facts: readonly RecordFacts[]
}

/** An accepted id within the window. */
export interface LoadedId {
  readonly number: number
  readonly seq: number
  readonly timestamp: number
  readonly kind: typeof KIND.publication | typeof KIND.acceptedId
}

export interface Loaded {
  readonly topics: LoadedTopic[]
  readonly ids: LoadedId[]
  readonly nextNumber: number
  /** A topic's position was lost as a whole: unknown topics need another epoch [L2]. */
  readonly positionsLost: boolean
  /** Accepted ids may have been lost [P4]. */
  readonly idsLost: boolean
  /** Repairs, to be written before anything else is. */
  readonly repairs: ((writing: Writing) => void)[]
}

interface Found {
  record: TopicRecord | null
  facts: Map<number, RecordFacts>
  damaged: Buffer[]
}

/** Reads and checks every record once. A stream that lost something gets a new epoch [P3]. */
export function loadStore(
  store: Store,
  { ageLimitAt, newEpoch, logger }: { ageLimitAt: number; newEpoch: () => string; logger: Logger },
): Loaded {
  const found = new Map<number, Found>()
  const ids: LoadedId[] = []
  const repairs: Loaded['repairs'] = []
  const of = (number: number): Found => {
    const known = found.get(number)
    if (known !== undefined) return known
    const added: Found = { record: null, facts: new Map(), damaged: [] }
    found.set(number, added)
    return added
  }
  for (const { key, body } of store.records(KIND.topic)) {
    of(numberOf(key)).record = body === null ? null : (JSON.parse(body.toString()) as TopicRecord)
  }
  for (const { key, body } of store.records(KIND.publication)) {
    const [number, seq] = [numberOf(key), seqOf(key)]
    const stream = of(number)
    if (body === null) {
      stream.damaged.push(key)
      continue
    }
    const facts = factsOf(body)
    stream.facts.set(seq, facts)
    if (facts.timestamp > ageLimitAt) {
      ids.push({ number, seq, timestamp: facts.timestamp, kind: KIND.publication })
    }
  }
  let idsLost = false
  for (const { key, body } of store.records(KIND.acceptedId)) {
    const number = numberOf(key)
    const timestamp = body === null ? null : factsOf(body).timestamp
    if (timestamp !== null && timestamp > ageLimitAt && found.has(number)) {
      ids.push({ number, seq: seqOf(key), timestamp, kind: KIND.acceptedId })
      continue
    }
    if (timestamp === null) idsLost = true
    repairs.push((writing) => writing.remove(key))
  }

  let nextNumber = Math.max(0, ...[...found.keys()].slice(-1)) + 1
  for (const number of found.keys()) nextNumber = Math.max(nextNumber, number + 1)
  const topics: LoadedTopic[] = []
  const replaced = new Map<number, { number: number; seqs: Map<number, number> }>()
  let damagedRecords = 0
  let positionsLost = false
  for (const [number, stream] of found) {
    const whole = wholeOf(number, stream)
    if (whole !== null) {
      topics.push(whole)
      continue
    }
    damagedRecords += Math.max(1, stream.damaged.length)
    const rescued = rescue(store, { number, stream, into: nextNumber, epoch: newEpoch() })
    repairs.push(rescued.repair)
    replaced.set(number, { number: nextNumber, seqs: rescued.seqs })
    nextNumber += 1
    if (rescued.topic === null) positionsLost = true
    else topics.push(rescued.topic)
  }
  if (damagedRecords > 0 || idsLost) {
    logger.error('records of the store are damaged', {
      streams: replaced.size,
      records: damagedRecords,
      todo: 'check the disk; streams that lost something have a new epoch, nothing else is needed',
    })
  }
  const kept = ids.flatMap((id) => {
    const moved = replaced.get(id.number)
    if (moved === undefined) return [id]
    const seq = id.kind === KIND.publication ? moved.seqs.get(id.seq) : undefined
    return seq === undefined ? [] : [{ ...id, number: moved.number, seq }]
  })
  kept.sort((one, other) => one.timestamp - other.timestamp)
  idsLost ||= damagedRecords > 0
  return { topics, ids: kept, nextNumber, positionsLost, idsLost, repairs }
}

/** The topic as it was written, or null where anything of it is missing. */
function wholeOf(number: number, { record, facts, damaged }: Found): LoadedTopic | null {
  if (record === null || damaged.length > 0) return null
  const whole: RecordFacts[] = []
  for (let seq = record.oldest; seq <= record.head; seq += 1) {
    const fact = facts.get(seq)
    if (fact === undefined) return null
    whole.push(fact)
  }
  return whole.length === facts.size ? { ...record, number, facts: whole } : null
}

const KEPT_WITHOUT_POLICY = { size: 1_000, ttlMs: 24 * 60 * 60_000, bytes: 8 * 1_024 * 1_024 }

/** What is left of a damaged stream, numbered from 1 in a new epoch: nothing undamaged is lost. */
function rescue(
  store: Store,
  from: { number: number; stream: Found; into: number; epoch: string },
): { topic: LoadedTopic | null; seqs: Map<number, number>; repair: (writing: Writing) => void } {
  const { number, stream, into, epoch } = from
  const old = [...stream.facts.keys()]
  const seqs = new Map(old.map((seq, index) => [seq, index + 1]))
  const first =
    old[0] === undefined ? undefined : store.get(keyOf(KIND.publication, number, old[0]))
  const topic =
    stream.record?.topic ??
    (first === undefined || first === null ? null : decodePublication(first).topic)
  const record: TopicRecord | null =
    topic === null || old.length === 0
      ? null
      : {
          topic,
          epoch,
          head: old.length,
          oldest: 1,
          usedAt:
            stream.record?.usedAt ??
            Math.max(...[...stream.facts.values()].map(({ timestamp }) => timestamp)),
          policy: stream.record?.policy ?? KEPT_WITHOUT_POLICY,
        }
  const repair = (writing: Writing): void => {
    for (const [seq, next] of seqs) {
      const body = store.get(keyOf(KIND.publication, number, seq))
      if (body === undefined || body === null || record === null) continue
      const key = keyOf(KIND.publication, into, next)
      writing.put(key, encodePublication(key, decodePublication(body)))
    }
    for (const kind of [KIND.topic, KIND.publication, KIND.acceptedId] as const) {
      for (const key of store.keys(kind, number)) writing.remove(key)
    }
    if (record !== null) writing.putJson(keyOf(KIND.topic, into), record)
  }
  const loaded =
    record === null ? null : { ...record, number: into, facts: [...stream.facts.values()] }
  return { topic: loaded, seqs, repair }
}
