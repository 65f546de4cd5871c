import type { Topic } from '@bmt-central/realtime-protocol'
import { outOfOrder, publishName, type Publication } from '@bmt-central/realtime-server/broker'
import { encodeCommit, type CommittedId } from './commit-record.js'
import type { DiskTopic } from './disk-stream.js'
import { KIND, keyOf, META } from './keys.js'
import type { Opened } from './opened.js'
import { encodePublication } from './publication-record.js'
import { isRemembered } from './remembered.js'
import type { TopicRecord } from './state-records.js'
import { put, putJson, remove, type Change } from './store.js'
import type { Waiting } from './waiting.js'

/** An append that has its place in the stream, if its transaction succeeds. */
export interface Placing {
  readonly waiting: Waiting
  readonly state: DiskTopic
  readonly publication: Publication
  readonly body: Buffer
  readonly deliveredTo: number
  readonly atMs: number
}

/** Gives each one its `seq`; what cannot have one is refused. */
export function placeAll(
  opened: Opened,
  taken: readonly Waiting[],
  facts: {
    readonly timestamp: number
    readonly refuse: (waiting: Waiting, error: unknown) => void
  },
): Placing[] {
  const { timestamp, refuse } = facts
  const atMs = opened.clock.now()
  const heads = new Map<DiskTopic, number>()
  const names = new Set<string>()
  const placings: Placing[] = []
  for (const waiting of taken) {
    try {
      const { topic, draft } = waiting
      const { id, from, after, payloadJson, payloadBytes } = draft
      const inHere = after !== undefined && names.has(publishName(topic, from, after))
      if (after !== undefined && !inHere && !isRemembered(opened, topic, { from, id: after })) {
        throw outOfOrder(topic, after)
      }
      const state = pinned(opened, topic, atMs)
      const seq = (heads.get(state) ?? state.stream.head) + 1
      heads.set(state, seq)
      names.add(waiting.name)
      const { epoch } = state.stream
      const publication = { topic, id, from, seq, epoch, payloadJson, payloadBytes, timestamp }
      const deliveredTo = state.live
      const kept = { topic, id, from, timestamp, agedAtMs: atMs, payloadJson }
      const body = encodePublication(kept)
      placings.push({ waiting, state, publication, body, deliveredTo, atMs })
    } catch (error) {
      refuse(waiting, error)
    }
  }
  return placings
}

function pinned({ topics }: Opened, topic: Topic, nowMs: number): DiskTopic {
  const state = topics.get(topic) ?? topics.add(topic, nowMs)
  topics.pin(state)
  state.usedAtMs = nowMs
  return state
}

/** The publications of one transaction and, in records of their own, their ids [P4]. */
export function publicationChanges(opened: Opened, placings: readonly Placing[]): Change[] {
  const [first] = placings
  if (first === undefined) return []
  const changes: Change[] = []
  const ids: CommittedId[] = []
  for (const { waiting, state, publication, body, deliveredTo } of placings) {
    const { number } = state.stream
    const { seq } = publication
    const { from, id, hash } = waiting.draft
    changes.push(put(keyOf(KIND.publication, number, seq), body))
    ids.push({ number, seq, deliveredTo, from, id, hash })
  }
  const { timestamp } = first.publication
  const commit = opened.numbers.commit()
  for (const [part, body] of encodeCommit({ timestamp, agedAtMs: first.atMs, ids }).entries()) {
    changes.push(put(keyOf(KIND.commit, commit, part), body))
  }
  return changes
}

/** What is kept of a topic; `added`: written with it, and in place only when that is committed. */
export function topicChange(state: DiskTopic, added: readonly Placing[]): Change {
  const { topic, stream, usedAtMs } = state
  const { earlier, number } = stream
  const record: TopicRecord = {
    topic,
    ...stream.factsWith(
      added.map(({ body, waiting, publication }) => ({
        bodyBytes: body.length,
        payloadBytes: publication.payloadBytes,
        policy: waiting.policy,
      })),
    ),
    usedAtMs,
    ...(earlier !== null && { earlier: { number: earlier.number, epoch: earlier.epoch } }),
  }
  return putJson(keyOf(KIND.topic, number), record)
}

/** Publications that went since the record said that `from` is the oldest. */
export function droppedChanges(state: DiskTopic, from: number): Change[] {
  const { number, oldest } = state.stream
  const changes: Change[] = []
  for (let seq = from; seq < oldest; seq += 1) {
    changes.push(remove(keyOf(KIND.publication, number, seq)))
  }
  return changes
}

/** What the store says of itself, as it is now; `openOnBoot`: null once it is in use no more. */
export function metaChange(
  { meta, topics, numbers, clock, ids }: Opened,
  openOnBoot: string | null = meta.openOnBoot,
): Change {
  const { baseEpoch } = topics
  const nextNumber = numbers.nextTopic
  const now = { baseEpoch, nextNumber, clockAtMs: clock.now(), cut: ids.cut }
  return putJson(META, { ...meta, openOnBoot, ...now })
}
