import {
  arrayOf,
  booleanOf,
  fieldsOf,
  gapOf,
  integerOf,
  malformed,
  numberOf,
  stringOf,
  type Fields,
} from './decoding.js'
import { fromWireFailure, RealtimeError } from './errors.js'
import type { EventMessage } from './message.js'
import type { Gap } from './position.js'

/** The acknowledgement of a publish [W12]. */
export interface PublishAck {
  messageId: string
  topic: string
  epoch: string
  seq: number
  /** Connections subscribed when it was appended: handed over, not processed. */
  deliveredTo: number
  /** A resend: this is the first one's result. */
  duplicate: boolean
}

/** As it is on the wire; `windowMs` where the window is shorter than `limits` says [L17]. */
export interface WirePublishAck extends PublishAck {
  status: 'success'
  windowMs?: number
}

/** Part of a stream, ascending [W13]. */
export interface HistoryPage<T = unknown> {
  topic: string
  epoch: string
  /** The head of the stream. */
  seq: number
  gap?: Gap
  messages: EventMessage<T>[]
  /** Whether there are older ones (with `before`, or neither) or later ones (with `since`). */
  more: boolean
}

/** The acknowledgement of a subscribe [W10]. */
export interface SubscribeAck {
  status: 'success'
  topic: string
  subscriberCount: number
  epoch: string
  /** Of the last of `messages`; the client continues from here. */
  seq: number
  recovered: boolean
  gap?: Gap
  messages: EventMessage[]
  more: boolean
}

export interface UnsubscribeAck {
  status: 'success'
  topic: string
}

export interface HeartbeatAck {
  status: 'success'
  timestamp: number
  serverTime: number
}

/** Throws what the server refused a request with; gives the fields of a success. */
function successOf(value: unknown): Fields {
  const fields = fieldsOf(value, 'the acknowledgement')
  if (fields['status'] === 'success') return fields
  if (fields['status'] === 'error') throw fromWireFailure(fields)
  throw malformed('the acknowledgement has no status')
}

/** @throws RealtimeError what the server refused it with · `invalid_message` */
export function decodePublishAck(value: unknown): WirePublishAck {
  const fields = successOf(value)
  const windowMs = fields['windowMs']
  return {
    status: 'success',
    messageId: stringOf(fields['messageId'], 'messageId'),
    topic: stringOf(fields['topic'], 'topic'),
    epoch: stringOf(fields['epoch'], 'epoch'),
    seq: integerOf(fields['seq'], 'seq', 0),
    deliveredTo: integerOf(fields['deliveredTo'], 'deliveredTo', 0),
    duplicate: booleanOf(fields['duplicate'], 'duplicate'),
    ...(windowMs !== undefined && { windowMs: numberOf(windowMs, 'windowMs') }),
  }
}

/** @throws RealtimeError what the server refused it with · `invalid_message` */
export function decodeSubscribeAck(value: unknown): SubscribeAck {
  const fields = successOf(value)
  return {
    status: 'success',
    ...streamPartOf(fields),
    subscriberCount: integerOf(fields['subscriberCount'], 'subscriberCount', 0),
    recovered: booleanOf(fields['recovered'], 'recovered'),
  }
}

/** Each topic's own answer, in the order of the request's `topics` [W10]. */
export function decodeBatchAck(value: unknown, count: number): (SubscribeAck | RealtimeError)[] {
  const results = arrayOf(successOf(value)['results'], 'results')
  if (results.length !== count) {
    throw malformed(`results must have ${count} entries, got ${results.length}`)
  }
  return results.map((result) => {
    try {
      return decodeSubscribeAck(result)
    } catch (error) {
      if (error instanceof RealtimeError) return error
      throw error
    }
  })
}

/** @throws RealtimeError what the server refused it with · `invalid_message` */
export function decodeHistoryPage(value: unknown): HistoryPage {
  return streamPartOf(successOf(value))
}

/** @throws RealtimeError what the server refused it with · `invalid_message` */
export function decodeUnsubscribeAck(value: unknown): UnsubscribeAck {
  return { status: 'success', topic: stringOf(successOf(value)['topic'], 'topic') }
}

/** @throws RealtimeError what the server refused it with · `invalid_message` */
export function decodeHeartbeatAck(value: unknown): HeartbeatAck {
  const fields = successOf(value)
  return {
    status: 'success',
    timestamp: numberOf(fields['timestamp'], 'timestamp'),
    serverTime: numberOf(fields['serverTime'], 'serverTime'),
  }
}

/** @throws RealtimeError `invalid_message` */
export function decodeEventMessage(value: unknown): EventMessage {
  const fields = fieldsOf(value, 'a message')
  const { from, skipped, payload } = fields
  return {
    type: 'event',
    topic: stringOf(fields['topic'], 'topic'),
    id: stringOf(fields['id'], 'id'),
    seq: integerOf(fields['seq'], 'seq', 0),
    epoch: stringOf(fields['epoch'], 'epoch'),
    payload,
    timestamp: numberOf(fields['timestamp'], 'timestamp'),
    from: from === null ? null : stringOf(from, 'from'),
    ...(skipped !== undefined && { skipped: integerOf(skipped, 'skipped', 1) }),
  }
}

function streamPartOf(fields: Fields): HistoryPage {
  const gap = fields['gap']
  return {
    topic: stringOf(fields['topic'], 'topic'),
    epoch: stringOf(fields['epoch'], 'epoch'),
    seq: integerOf(fields['seq'], 'seq', 0),
    ...(gap !== undefined && { gap: gapOf(gap) }),
    messages: arrayOf(fields['messages'], 'messages').map(decodeEventMessage),
    more: booleanOf(fields['more'], 'more'),
  }
}
