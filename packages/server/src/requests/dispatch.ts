import {
  decodeRequest,
  RealtimeError,
  requestMessageId,
  toWireFailure,
  type ClientRequest,
  type HeartbeatRequest,
  type HistoryRequest,
  type PublishRequest,
  type SubscribeItem,
  type SubscribeRequest,
  type Topic,
  type UnsubscribeRequest,
} from '@bmt-central/realtime-protocol'
import type { Accepted, Maybe } from '../broker/broker.js'
import type { Connection, Job } from '../hub/connection.js'
import { enqueue } from './backlog.js'
import type { RequestContext } from './context.js'
import { history, historyJson } from './history.js'
import { inInstanceOrder } from './instance-order.js'
import { endSubscription } from './leaving.js'
import type { PublishOrder } from './once.js'
import { publishForConnection } from './publish.js'
import { takeRequest } from './rates.js'
import { reportRefusal } from './refusal.js'
import { newPageBudget, subscribe, type Joined } from './subscribe.js'
import { subscribeBatch } from './subscribe-batch.js'

/** One Socket.IO event as it arrived. */
export interface Incoming {
  readonly event: unknown
  /** Its arguments, without the acknowledgement. */
  readonly args: readonly unknown[]
  /** Null: nobody waits for an answer [W4]. */
  readonly ackId: number | null
}

/** What a refusal names. */
interface Asked {
  readonly event: string
  /** Known once the request has been decoded. */
  topic: Topic | undefined
  readonly ackId: number | null
  readonly messageId: string | undefined
}

/** So many malformed requests within a minute end the connection [W7]. */
const MAX_MALFORMED = 100
const MALFORMED_WINDOW_MS = 60_000
/** How long a client that was ended by a count stays away (contract, section 4, W25). */
const PENALTY_MS = 10_000

/** The one way in of every request: decode, rate, order, carry out, answer [W4]–[W8]. */
export function dispatch(
  context: RequestContext,
  connection: Connection,
  incoming: Incoming,
): void {
  if (connection.ended) return
  connection.lastActivityAt = context.runtime.wallNow()
  const { ackId } = incoming
  const event = typeof incoming.event === 'string' ? incoming.event : String(incoming.event)
  const messageId = requestMessageId(incoming.args[0])
  const asked: Asked = { event: event.slice(0, 64), topic: undefined, ackId, messageId }
  try {
    const request = decode(context, connection, { event, args: incoming.args })
    asked.topic = topicOf(request)
    // A publish pays when its turn has come: then it is known whether it is a resend.
    if (request.kind !== 'publish') takeRequest(context, connection, costOf(request))
    if (request.kind === 'heartbeat') heartbeat(context, connection, { request, ackId })
    else enqueue(context, connection, jobOf(context, connection, { request, asked }))
  } catch (error) {
    refuse(context, connection, { asked, error })
  }
}

/** @throws RealtimeError `invalid_message` · `invalid_topic` · `rate_limited` */
function decode(
  context: RequestContext,
  connection: Connection,
  { event, args }: { readonly event: string; readonly args: readonly unknown[] },
): ClientRequest {
  if (args.length !== 1) {
    throw new RealtimeError(
      'invalid_message',
      `a request is one object and, where an answer is wanted, a callback; got ${args.length} arguments`,
    )
  }
  try {
    return decodeRequest(event, args[0])
  } catch (error) {
    // What is malformed has a count of its own [W7].
    const counted = error instanceof RealtimeError && error.code === 'invalid_message'
    if (!counted) takeRequest(context, connection)
    throw error
  }
}

/** A batch counts one per topic [L7]. */
function costOf(request: ClientRequest): number {
  return request.kind === 'subscribe_batch' ? request.items.length : 1
}

function topicOf(request: ClientRequest): Topic | undefined {
  if (request.kind === 'subscribe') return request.item.topic
  return 'topic' in request ? request.topic : undefined
}

type Queued = SubscribeRequest | UnsubscribeRequest | PublishRequest | HistoryRequest

function jobOf(
  context: RequestContext,
  connection: Connection,
  { request, asked }: { request: Queued; asked: Asked },
): Job {
  const failed = (error: unknown): void => refuse(context, connection, { asked, error })
  return {
    topics: topicsOf(request),
    takesPlace: request.kind !== 'unsubscribe',
    run: () => {
      // Whoever has gone gets no answer; what it asked for is not begun.
      if (connection.ended) return undefined
      try {
        const result = carryOut(context, connection, { request, asked })
        return result instanceof Promise ? result.catch(failed) : result
      } catch (error) {
        return failed(error)
      }
    },
  }
}

function topicsOf(request: Queued): readonly Topic[] {
  if (request.kind === 'subscribe') return [request.item.topic]
  if (request.kind !== 'subscribe_batch') return [request.topic]
  return request.items.flatMap((item) => ('error' in item ? [] : [item.topic]))
}

function carryOut(
  context: RequestContext,
  connection: Connection,
  { request, asked }: { request: Queued; asked: Asked },
): Maybe<void> {
  switch (request.kind) {
    case 'subscribe':
    case 'subscribe_batch':
      return carryOutSubscribe(context, connection, { request, asked })
    case 'unsubscribe':
      return carryOutUnsubscribe(context, connection, { request, asked })
    case 'publish':
      return carryOutPublish(context, connection, { request, asked })
    case 'history':
      return withPage(connection, true, () => {
        const answer = (page: Parameters<typeof historyJson>[1]): void =>
          connection.answer(asked.ackId, historyJson(request.topic, page, asked.messageId), true)
        const page = history(context, connection, request)
        return page instanceof Promise ? page.then(answer) : answer(page)
      })
  }
}

function carryOutSubscribe(
  context: RequestContext,
  connection: Connection,
  { request, asked }: { request: SubscribeRequest; asked: Asked },
): Maybe<void> {
  const single = request.kind === 'subscribe'
  const paged = single
    ? wantsPast(request.item)
    : request.items.some((item) => !('error' in item) && wantsPast(item))
  const answer = ({ json, settle }: Joined): void => {
    connection.answer(asked.ackId, json(), paged)
    settle(true)
  }
  return withPage(connection, paged, () => {
    const joined = single
      ? subscribe(context, connection, { item: request.item, budget: newPageBudget(context) })
      : subscribeBatch(context, connection, request)
    return joined instanceof Promise ? joined.then(answer) : answer(joined)
  })
}

function wantsPast(item: SubscribeItem): boolean {
  return item.since !== undefined || (item.rewind ?? 0) > 0
}

/** Waits for a place for a page where one is needed [L16], and gives it back afterwards. */
function withPage(connection: Connection, needed: boolean, run: () => Maybe<void>): Maybe<void> {
  if (!needed) return run()
  const go = (free: () => void): Maybe<void> => {
    // Gone while it waited for the place: nobody needs what would be read.
    if (connection.ended) return free()
    let result: Maybe<void>
    try {
      result = run()
    } catch (error) {
      free()
      throw error
    }
    if (result instanceof Promise) return result.finally(free)
    free()
    return undefined
  }
  const place = connection.pagePlace()
  return place instanceof Promise ? place.then(go) : go(place)
}

function carryOutUnsubscribe(
  context: RequestContext,
  connection: Connection,
  { request, asked }: { request: UnsubscribeRequest; asked: Asked },
): void {
  const { topic } = request
  const channel = context.hub.channels.get(topic)
  if (channel !== undefined) endSubscription(context, connection, channel)
  connection.answer(asked.ackId, JSON.stringify({ status: 'success', topic, ...echo(asked) }))
}

function carryOutPublish(
  context: RequestContext,
  connection: Connection,
  { request, asked }: { request: PublishRequest; asked: Asked },
): Maybe<void> {
  const { topic, payload, after } = request
  const id = request.messageId ?? context.runtime.id()
  const order = {
    topic,
    id,
    payload,
    from: connection.user.userId,
    ...(after !== undefined && { after }),
  }
  const answer = (accepted: Accepted): void => {
    if (asked.ackId !== null) connection.answer(asked.ackId, publishJson(order, accepted))
  }
  const run = (): Maybe<void> => {
    // Gone while it waited: what it asked for is not begun.
    if (connection.ended) return undefined
    const accepted = publishForConnection(context, connection, order)
    return accepted instanceof Promise ? accepted.then(answer) : answer(accepted)
  }
  return inInstanceOrder(context, connection, { topic, run })
}

/** The answer to a publish [W12]; an id needs no escapes. */
function publishJson(
  { id, topic }: PublishOrder,
  { epoch, seq, deliveredTo, duplicate, windowMs }: Accepted,
): string {
  const short = windowMs === undefined ? '' : `,"windowMs":${windowMs}`
  return (
    `{"status":"success","messageId":"${id}","topic":${JSON.stringify(topic)},` +
    `"epoch":${JSON.stringify(epoch)},"seq":${seq},"deliveredTo":${deliveredTo},` +
    `"duplicate":${duplicate}${short}}`
  )
}

function heartbeat(
  context: RequestContext,
  connection: Connection,
  { request, ackId }: { request: HeartbeatRequest; ackId: number | null },
): void {
  const { timestamp, messageId } = request
  const beat = { timestamp, serverTime: context.runtime.wallNow() }
  const id = messageId === undefined ? {} : { messageId }
  connection.answer(ackId, JSON.stringify({ status: 'success', ...beat, ...id }))
  connection.emit('heartbeat_ack', beat)
}

function echo({ messageId }: Pick<Asked, 'messageId'>): { messageId?: string } {
  return messageId === undefined ? {} : { messageId }
}

/** Answers with the failure [W5]; counts what is malformed [W7]. */
function refuse(
  context: RequestContext,
  connection: Connection,
  { asked, error }: { asked: Asked; error: unknown },
): void {
  if (connection.ended) return
  const { event, topic } = asked
  reportRefusal(context, connection, { event, topic, error })
  connection.answer(asked.ackId, JSON.stringify(toWireFailure(error, asked.messageId)))
  if (!(error instanceof RealtimeError) || error.code !== 'invalid_message') return
  const now = context.runtime.monotonicNow()
  const recent = connection.malformedAt.filter((at) => now - at < MALFORMED_WINDOW_MS)
  recent.push(now)
  connection.malformedAt = recent
  if (recent.length < MAX_MALFORMED) return
  const ending = new RealtimeError(
    'invalid_message',
    `${MAX_MALFORMED} malformed requests within a minute`,
    { retryable: true, retryAfterMs: PENALTY_MS },
  )
  connection.end(ending)
}
