import type { EventMessage, Gap } from '@bmt-central/realtime-protocol'
import type { FakeLink, FakeRequest } from './fake-server.js'

/** A publication; `epoch` is `e` unless said otherwise. */
export function event(topic: string, seq: number, more: Partial<EventMessage> = {}): EventMessage {
  const epoch = more.epoch ?? 'e'
  return {
    type: 'event',
    topic,
    id: `${topic}-${epoch}-${seq}`,
    seq,
    epoch,
    payload: seq,
    timestamp: 0,
    from: 'grace',
    ...more,
  }
}

export function events(topic: string, from: number, to: number): EventMessage[] {
  return Array.from({ length: to - from + 1 }, (_, index) => event(topic, from + index))
}

export interface AckFields {
  epoch?: string
  seq?: number
  recovered?: boolean
  gap?: Gap
  messages?: EventMessage[]
  more?: boolean
}

/** The answer for one topic of a `subscribe`. */
export function subscribed(topic: string, fields: AckFields = {}): object {
  return {
    status: 'success',
    topic,
    subscriberCount: 1,
    epoch: 'e',
    seq: fields.messages?.at(-1)?.seq ?? 0,
    recovered: false,
    messages: [],
    more: false,
    ...fields,
  }
}

/** Answers the oldest open `subscribe` of a link: each topic as told, or as a fresh empty one. */
export function answerSubscribe(link: FakeLink, acks: Record<string, AckFields> = {}): FakeRequest {
  const [request] = link.waiting('subscribe')
  if (request === undefined) throw new Error('no subscribe is waiting')
  const { topics } = request.data
  request.ok({ results: topics.map(({ topic }) => subscribed(topic, acks[topic])) })
  return request
}

/** Answers the oldest open `history` of a link. */
export function answerHistory(link: FakeLink, topic: string, fields: AckFields = {}): void {
  const [request] = link.waiting('history')
  if (request === undefined) throw new Error('no history is waiting')
  request.ok({
    topic,
    epoch: 'e',
    seq: fields.messages?.at(-1)?.seq ?? 0,
    messages: [],
    more: false,
    ...fields,
  })
}

/** Answers the oldest open `publish` of a link as accepted with this `seq`. */
export function acceptPublish(link: FakeLink, seq: number, fields: object = {}): FakeRequest {
  const [request] = link.waiting('publish')
  if (request === undefined) throw new Error('no publish is waiting')
  const { topic, messageId } = request.data
  request.ok({ messageId, topic, epoch: 'e', seq, deliveredTo: 0, duplicate: false, ...fields })
  return request
}
