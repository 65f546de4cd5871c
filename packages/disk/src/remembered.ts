import type { Topic } from '@bmt-central/realtime-protocol'
import { idConflict, type Accepted, type PublishKey } from '@bmt-central/realtime-server/broker'
import type { Opened } from './opened.js'

/** The first result of a publish that was committed [P4], or null. @throws RealtimeError `id_conflict` */
export function remembered(
  { topics, ids, clock }: Opened,
  topic: Topic,
  { from, id, hash }: PublishKey,
): Accepted | null {
  const state = topics.get(topic)
  if (state === undefined) return null
  const nowMs = clock.now()
  const { earlier } = state.stream
  const maps = [
    { epoch: state.stream.epoch, map: state.ids },
    ...(earlier === null ? [] : [{ epoch: earlier.epoch, map: earlier.ids }]),
  ]
  for (const { epoch, map } of maps) {
    const first = map === null ? null : ids.find(map, from, id, nowMs)
    if (first === null) continue
    if (first.hash !== hash) throw idConflict(topic, id)
    const { seq, timestamp, deliveredTo } = first
    return ids.withWindow({ epoch, seq, timestamp, duplicate: true, deliveredTo }, nowMs)
  }
  return null
}

export function isRemembered(
  { topics, ids, clock }: Opened,
  topic: Topic,
  { from, id }: Pick<PublishKey, 'from' | 'id'>,
): boolean {
  const state = topics.get(topic)
  if (state === undefined) return false
  const maps = [state.ids, state.stream.earlier?.ids ?? null]
  return maps.some((map) => map !== null && ids.find(map, from, id, clock.now()) !== null)
}
