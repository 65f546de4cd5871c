import { commitFactsOf } from './commit-record.js'
import { KIND, META, numberOf } from './keys.js'
import type { DroppedRange } from './clean-up.js'
import type { DoomedRecord, MetaRecord, TopicRecord } from './state-records.js'
import type { Store } from './store.js'

export interface LoadedTopic extends TopicRecord {
  readonly number: number
}

/** What the store says of itself. Publications are not read: however many there are, a start is quick. */
export interface Loaded {
  /** Undefined in a new store, null where it is damaged. */
  readonly meta: MetaRecord | null | undefined
  readonly topics: LoadedTopic[]
  readonly doomed: DroppedRange[]
  readonly nextNumber: number
  readonly nextCommit: number
  /** The latest instant of the broker's own clock that is written down. */
  readonly clockAtMs: number
  /** Records of topics that are damaged: their positions are lost [L2]. */
  readonly lostTopics: number[]
}

export function loadStore(store: Store): Loaded {
  const meta = store.json<MetaRecord>(META)
  let clockAtMs = meta?.clockAtMs ?? 0
  let nextNumber = meta?.nextNumber ?? 1
  const topics: LoadedTopic[] = []
  const lostTopics: number[] = []
  for (const { key, body } of store.records(KIND.topic)) {
    const number = numberOf(key)
    nextNumber = Math.max(nextNumber, number + 1)
    if (body === null) {
      lostTopics.push(number)
      continue
    }
    const record = JSON.parse(body.toString()) as TopicRecord
    topics.push({ ...record, number })
    clockAtMs = Math.max(clockAtMs, record.usedAtMs)
  }
  const doomed: DroppedRange[] = []
  for (const { key, body } of store.records(KIND.doomed)) {
    if (body === null) continue
    doomed.push({ number: numberOf(key), ...(JSON.parse(body.toString()) as DoomedRecord) })
  }
  for (const kind of [KIND.publication, KIND.doomed] as const) {
    const last = store.lastKey(kind)
    if (last !== null) nextNumber = Math.max(nextNumber, numberOf(last) + 1)
  }
  const lastCommit = store.lastKey(KIND.commit)
  if (lastCommit !== null) {
    const body = store.get(lastCommit)
    if (body) clockAtMs = Math.max(clockAtMs, commitFactsOf(body).agedAtMs)
  }
  const nextCommit = lastCommit === null ? 1 : numberOf(lastCommit) + 1
  return { meta, topics, doomed, nextNumber, nextCommit, clockAtMs, lostTopics }
}
