import type { Logger } from '@bmt-central/realtime-protocol'
import type { AgeingClock } from './ageing-clock.js'
import { endOf, KIND, keyOf, numberOf } from './keys.js'
import type { Loaded, LoadedTopic } from './load.js'
import type { Numbers } from './numbers.js'
import { decodePublication } from './publication-record.js'
import { isWhole, repairStream } from './repair.js'
import type { StreamFacts } from './disk-stream.js'
import { putJson, remove, type Change, type Store } from './store.js'

/** Where the topic's own record is lost: the defaults of contract section 7. */
export const KEPT_WITHOUT_POLICY: StreamFacts['policy'] = {
  size: 1_000,
  ttlMs: 24 * 60 * 60_000,
  bytes: 8 * 1_024 * 1_024,
}

/**
 * Looks every stream through. One that lost something gets a new epoch and keeps what is undamaged;
 * all others stay as they are [P3]. Said once, with what to do.
 */
export function restoreDamaged(
  store: Store,
  loaded: Loaded,
  parts: {
    readonly clock: AgeingClock
    readonly numbers: Numbers
    readonly newEpoch: () => string
    readonly logger: Logger
  },
): { topics: LoadedTopic[]; changes: Change[] } {
  const topics: LoadedTopic[] = []
  const changes: Change[] = []
  const counts = { streams: 0, damagedRecords: 0, kept: 0 }
  const repair = (
    from: { readonly number: number; readonly policy: StreamFacts['policy'] },
    record: { readonly topic: string; readonly usedAtMs: number; readonly epoch?: string },
  ): void => {
    const into = { number: parts.numbers.topic(), epoch: parts.newEpoch() }
    const repaired = repairStream(store, from, into)
    const { epoch: before, topic, usedAtMs } = record
    const earlier = before === undefined ? {} : { earlier: { number: from.number, epoch: before } }
    const after = { topic, usedAtMs, ...repaired.facts, ...earlier }
    changes.push(...repaired.changes, remove(keyOf(KIND.topic, from.number)))
    changes.push(putJson(keyOf(KIND.topic, into.number), after))
    topics.push({ ...after, number: into.number })
    counts.streams += 1
    counts.damagedRecords += repaired.damaged
    counts.kept += repaired.facts.head
  }

  for (const topic of loaded.topics) {
    if (isWhole(store, topic.number, topic)) topics.push(topic)
    else repair(topic, topic)
  }
  for (const number of loaded.lostTopics) {
    counts.damagedRecords += 1
    changes.push(remove(keyOf(KIND.topic, number)))
  }
  const taken = new Set(topics.map(({ topic }) => topic))
  const doomed = new Set(loaded.doomed.map(({ number }) => number))
  const known = new Set(loaded.topics.map(({ number }) => number))
  for (const { number, topic } of orphans(store, (each) => known.has(each) || doomed.has(each))) {
    if (taken.has(topic)) continue
    taken.add(topic)
    repair({ number, policy: KEPT_WITHOUT_POLICY }, { topic, usedAtMs: parts.clock.now() })
  }
  if (changes.length === 0 && loaded.meta !== null) return { topics, changes }
  parts.logger.error('the store was damaged and is repaired', {
    ...counts,
    topicRecordsLost: loaded.lostTopics.length,
    todo: 'check the disk; streams that lost something have a new epoch, and nothing else is needed',
  })
  return { topics, changes }
}

/** Streams whose own record is lost, by what their publications say. */
function* orphans(
  store: Store,
  isKnown: (number: number) => boolean,
): Generator<{ number: number; topic: string }> {
  let next = 0
  for (;;) {
    const [first] = store.range(keyOf(KIND.publication, next), endOf(KIND.publication), 1)
    if (first === undefined) return
    const number = numberOf(first.key)
    next = number + 1
    if (isKnown(number)) continue
    const topic = topicOf(store, number)
    if (topic !== null) yield { number, topic }
  }
}

function topicOf(store: Store, number: number): string | null {
  const range = store.range(keyOf(KIND.publication, number), endOf(KIND.publication, number))
  for (const { body } of range) {
    if (body !== null) return decodePublication(body).topic
  }
  return null
}
