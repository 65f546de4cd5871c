import {
  arrayOf,
  fieldsOf,
  integerOf,
  malformed,
  messageIdOf,
  numberOf,
  positionOf,
  type Fields,
} from './decoding.js'
import { RealtimeError } from './errors.js'
import type { Position } from './position.js'
import { isMessageId, parseTopic, type Topic } from './topic.js'

/** One topic of a `subscribe` request [W10]. */
export interface SubscribeItem {
  readonly topic: Topic
  readonly since?: Position
  /** The last so many publications; looked at only without `since`. */
  readonly rewind?: number
  readonly messageId?: string
}

/** An entry of a batch that could not be decoded: it is refused alone, the others are carried out. */
export interface RefusedItem {
  readonly error: RealtimeError
  /** Normalised where it is a topic, or else as it was sent; absent where there was no string. */
  readonly topic?: string
  readonly messageId?: string
}

export type SubscribeRequest =
  | { readonly kind: 'subscribe'; readonly item: SubscribeItem; readonly messageId?: string }
  | {
      readonly kind: 'subscribe_batch'
      readonly items: readonly (SubscribeItem | RefusedItem)[]
      readonly messageId?: string
    }

export interface UnsubscribeRequest {
  readonly kind: 'unsubscribe'
  readonly topic: Topic
  readonly messageId?: string
}

export interface PublishRequest {
  readonly kind: 'publish'
  readonly topic: Topic
  readonly payload: unknown
  /** The publication's id, too [P4]; the server makes one where none is given. */
  readonly messageId?: string
  /** The sender's publish to this topic just before it, while that one is not acknowledged [W12]. */
  readonly after?: string
}

/** What `history` asks for [W13]. */
export interface HistoryQuery {
  readonly since?: Position
  readonly before?: number | Position
  readonly limit?: number
}

export interface HistoryRequest extends HistoryQuery {
  readonly kind: 'history'
  readonly topic: Topic
  readonly messageId?: string
}

export interface HeartbeatRequest {
  readonly kind: 'heartbeat'
  readonly timestamp: number
  readonly messageId?: string
}

/** Every request of wire protocol 1 that this version carries out. */
export type ClientRequest =
  SubscribeRequest | UnsubscribeRequest | PublishRequest | HistoryRequest | HeartbeatRequest

/** The most topics of one `subscribe` [W10]. */
export const MAX_BATCH_TOPICS = 100

/** The events that `decodeRequest` knows. */
export const REQUEST_EVENTS = [
  'subscribe',
  'unsubscribe',
  'publish',
  'history',
  'heartbeat',
] as const

export type RequestEvent = (typeof REQUEST_EVENTS)[number]

export function isRequestEvent(event: string): event is RequestEvent {
  return (REQUEST_EVENTS as readonly string[]).includes(event)
}

/**
 * What a client asks for [W8]. Unknown fields are ignored.
 * @throws RealtimeError `invalid_message` · `invalid_topic`
 */
export function decodeRequest(event: string, data: unknown): ClientRequest {
  if (!isRequestEvent(event))
    throw malformed(`there is no request ${JSON.stringify(event.slice(0, 64))}`)
  const fields = fieldsOf(data, `the data of ${event}`)
  const messageId = optionalMessageId(fields)
  switch (event) {
    case 'subscribe':
      return decodeSubscribe(fields, messageId)
    case 'unsubscribe':
      return { kind: 'unsubscribe', topic: parseTopic(fields['topic']), ...messageId }
    case 'publish':
      return decodePublish(fields, messageId)
    case 'history':
      return {
        kind: 'history',
        topic: parseTopic(fields['topic']),
        ...decodeHistoryQuery(fields),
        ...messageId,
      }
    case 'heartbeat':
      return {
        kind: 'heartbeat',
        timestamp: numberOf(fields['timestamp'], 'timestamp'),
        ...messageId,
      }
  }
}

/** The `messageId` that a refusal returns [W8], also of a request that could not be decoded. */
export function requestMessageId(data: unknown): string | undefined {
  if (typeof data !== 'object' || data === null) return undefined
  const id = (data as Fields)['messageId']
  return isMessageId(id) ? id : undefined
}

function optionalMessageId(fields: Fields): { messageId?: string } {
  const id = fields['messageId']
  return id === undefined ? {} : { messageId: messageIdOf(id, 'messageId') }
}

function decodeSubscribe(fields: Fields, messageId: { messageId?: string }): SubscribeRequest {
  if (fields['topics'] === undefined) {
    return { kind: 'subscribe', item: decodeItem(fields), ...messageId }
  }
  const topics = arrayOf(fields['topics'], 'topics')
  if (topics.length === 0 || topics.length > MAX_BATCH_TOPICS) {
    throw malformed(`topics must have 1 to ${MAX_BATCH_TOPICS} entries, got ${topics.length}`)
  }
  return { kind: 'subscribe_batch', items: topics.map(decodeBatchItem), ...messageId }
}

function decodeBatchItem(value: unknown): SubscribeItem | RefusedItem {
  try {
    return decodeItem(fieldsOf(value, 'an entry of topics'))
  } catch (error) {
    if (!(error instanceof RealtimeError)) throw error
    const topic = refusedTopic(value)
    const messageId = requestMessageId(value)
    return {
      error,
      ...(topic !== undefined && { topic }),
      ...(messageId !== undefined && { messageId }),
    }
  }
}

/** Normalised where it is a topic, or else as it was sent; absent where there is no string. */
function refusedTopic(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const topic = (value as Fields)['topic']
  if (typeof topic !== 'string') return undefined
  try {
    return parseTopic(topic)
  } catch (error) {
    if (error instanceof RealtimeError) return topic
    throw error
  }
}

function decodeItem(fields: Fields): SubscribeItem {
  const { since, rewind } = fields
  return {
    topic: parseTopic(fields['topic']),
    // `rewind` is looked at only without `since` [W10].
    ...(since !== undefined
      ? { since: positionOf(since, 'since') }
      : rewind !== undefined && { rewind: integerOf(rewind, 'rewind', 0) }),
    ...optionalMessageId(fields),
  }
}

function decodePublish(fields: Fields, messageId: { messageId?: string }): PublishRequest {
  const { payload, after } = fields
  const topic = parseTopic(fields['topic'])
  if (payload === undefined) throw malformed('a publish must have a payload (null is one)')
  const publish: PublishRequest = { kind: 'publish', topic, payload, ...messageId }
  return after === undefined ? publish : { ...publish, after: messageIdOf(after, 'after') }
}

/** The query part of `history` [W13]. @throws RealtimeError `invalid_message` */
export function decodeHistoryQuery(fields: Fields): HistoryQuery {
  const { since, before, limit } = fields
  return {
    ...(since !== undefined && { since: positionOf(since, 'since') }),
    ...(before !== undefined && {
      before:
        typeof before === 'number' ? integerOf(before, 'before', 0) : positionOf(before, 'before'),
    }),
    ...(limit !== undefined && { limit: integerOf(limit, 'limit', 1) }),
  }
}
