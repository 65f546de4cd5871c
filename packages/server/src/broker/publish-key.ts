import { RealtimeError, type Topic } from '@bmt-central/realtime-protocol'

/** One text for (topic, user, id) [P4]: neither user nor id has a line break in it. */
export function publishName(topic: Topic, from: string | null, id: string): string {
  return `${from === null ? '' : `u${from}`}\n${id}\n${topic}`
}

export function idConflict(topic: Topic, id: string): RealtimeError {
  const what = `message id ${id} was used for another payload in ${topic}`
  return new RealtimeError('id_conflict', what, { details: { topic, messageId: id } })
}

/** `after` is not accepted [W12]. */
export function outOfOrder(topic: Topic, after: string): RealtimeError {
  const what = `publish ${after} to ${topic} is not accepted`
  return new RealtimeError('out_of_order', what, { details: { topic, after } })
}
