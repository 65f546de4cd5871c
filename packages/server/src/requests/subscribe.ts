import {
  RealtimeError,
  resumeAfter,
  type Gap,
  type Position,
  type SubscribeItem,
  type Topic,
} from '@bmt-central/realtime-protocol'
import type { Maybe, StreamPage } from '../broker/broker.js'
import { eventJson, eventParcel } from '../delivery/event-json.js'
import type { Channel } from '../hub/channel.js'
import type { Connection } from '../hub/connection.js'
import type { Subscription } from '../hub/subscription.js'
import type { Publication } from '../publication.js'
import { authorise } from './authorise.js'
import type { RequestContext } from './context.js'
import { endSubscription, leaveChannel, tellBroker } from './leaving.js'

/** What is left of one acknowledgement's page, for all topics of a batch together [L16]. */
export interface PageBudget {
  messages: number
  bytes: number
}

export function newPageBudget(context: RequestContext): PageBudget {
  return { messages: context.limits.maxPageMessages, bytes: context.limits.maxPageBytes }
}

/** A request whose answer is ready: both functions are called in the same turn, in this order. */
export interface Joined {
  /** Of a subscription that has been made; undefined for a refusal. */
  readonly topic?: Topic
  /** The answer, made when it is sent: only then is it known whether all that waited still fits. */
  readonly json: () => string
  /**
   * Starts live delivery behind the answer, or, where there is more to page through, does not [W10].
   * `last`: no later entry of the same batch names the topic.
   */
  readonly settle: (last: boolean) => void
}

/**
 * Subscribes a connection to one topic without a hole [P2][P9]. The order is everything:
 *
 * 1. From `join()` on, publications of the topic wait in the subscription; then the broker is told,
 *    so that every later one is announced here.
 * 2. Only then is the past read: whatever is appended meanwhile is in the page, in the buffer, or in
 *    both, and `settle` drops from the buffer what the page already has.
 * 3. The answer goes into the outlet, then `settle()` passes on what waited: never before the answer.
 *
 * Where the page is not the last one (`more`), or more has come meanwhile than may wait, nothing is
 * kept: the client asks again from its end.
 *
 * @throws RealtimeError `permission_denied` · `internal_error` · `too_many_subscriptions` ·
 *   `channel_full` · `broker_unavailable`
 */
export function subscribe(
  context: RequestContext,
  connection: Connection,
  request: { readonly item: SubscribeItem; readonly budget: PageBudget },
): Maybe<Joined> {
  const { topic } = request.item
  if (
    !connection.subscriptions.has(topic) &&
    connection.subscriptions.size >= context.limits.maxSubscriptionsPerConnection
  ) {
    throw tooMany(context)
  }
  const allowed = mayJoin(context, connection, topic)
  return allowed instanceof Promise
    ? allowed.then(() => join(context, connection, request))
    : join(context, connection, request)
}

/** Asks the rules; where they say no, a subscription that there still is ends, too. */
export function mayJoin(
  context: RequestContext,
  connection: Connection,
  topic: Topic,
): Maybe<void> {
  const refused = (error: unknown): never => {
    const channel = context.hub.channels.get(topic)
    const final = error instanceof RealtimeError && error.code === 'permission_denied'
    if (channel !== undefined && final) endSubscription(context, connection, channel)
    throw error
  }
  const { rule, matched } = context.hub.ruleOf(topic)
  const { user } = connection
  try {
    const allowed = authorise(context, { user, topic, action: 'subscribe', rule, matched })
    return allowed instanceof Promise ? allowed.catch(refused) : allowed
  } catch (error) {
    return refused(error)
  }
}

/** The rest of it, once the rules have said yes. */
export function join(
  context: RequestContext,
  connection: Connection,
  request: { readonly item: SubscribeItem; readonly budget: PageBudget },
): Maybe<Joined> {
  if (connection.ended) throw new RealtimeError('server_closing', 'the connection has ended')
  const { topic } = request.item
  const fresh = !connection.subscriptions.has(topic)
  // Looked at again: rules of several topics may have been asked side by side.
  if (fresh && connection.subscriptions.size >= context.limits.maxSubscriptionsPerConnection) {
    throw tooMany(context)
  }
  const channel = context.hub.open(topic)
  const subscription = context.hub.join(connection, channel)
  // What was announced before is passed on before: all that comes from now on waits.
  context.fanOut.settle(channel, connection)
  // Too slow for that: it has been taken out of the channel, and must not come back.
  if (connection.ended) throw new RealtimeError('server_closing', 'the connection has ended')
  const passedOn = subscription.live ? subscription.position : null
  subscription.join()
  const undo = (error: unknown): never => {
    // A repeated subscribe that failed leaves no half-live subscription behind, either.
    if (fresh) leaveChannel(context, connection, channel)
    else endSubscription(context, connection, channel)
    throw error
  }
  const entry = { context, connection, channel, subscription, request, fresh, passedOn }
  try {
    const told = context.broker.subscribers(topic, channel.subscribers.size, channel.live)
    const joined =
      told instanceof Promise ? told.then((count) => read(entry, count)) : read(entry, told)
    return joined instanceof Promise ? joined.catch(undo) : joined
  } catch (error) {
    return undo(error)
  }
}

interface Entry {
  readonly context: RequestContext
  readonly connection: Connection
  readonly channel: Channel
  readonly subscription: Subscription
  readonly request: { readonly item: SubscribeItem; readonly budget: PageBudget }
  readonly fresh: boolean
  /** Of a repeated subscribe: up to where messages have been passed on. */
  readonly passedOn: Position | null
}

function read(entry: Entry, count: { position: Position; total: number }): Maybe<Joined> {
  const { context, channel, request, fresh, passedOn } = entry
  if (fresh && count.total > context.limits.maxSubscribersPerChannel) {
    throw new RealtimeError(
      'channel_full',
      `${channel.topic} has its maximum of ${context.limits.maxSubscribersPerChannel} subscribers`,
    )
  }
  const start = startOf(request.item, count.position)
  if (channel.ephemeral) return finish(entry, count, { ...EMPTY_PART, epoch: '' })
  // Live before: what the broker has appended but not announced yet still follows as messages.
  if (start === null)
    return finish(entry, count, { ...EMPTY_PART, ...(passedOn ?? count.position) })
  const { budget } = request
  const page = context.broker.read(channel.topic, {
    since: start,
    limit: budget.bytes > 0 ? Math.max(0, budget.messages) : 0,
    maxBytes: Math.max(0, budget.bytes),
  })
  return page instanceof Promise
    ? page.then((loaded) => finish(entry, count, partOf(entry, start, loaded)))
    : finish(entry, count, partOf(entry, start, page))
}

/** From where the past is wanted, or null: only what comes from now on. */
function startOf(item: SubscribeItem, head: Position): Position | null {
  if (item.since !== undefined) return item.since
  if (item.rewind === undefined || item.rewind === 0) return null
  return { epoch: head.epoch, seq: Math.max(0, head.seq - item.rewind) }
}

/** The part of the stream that one answer carries. */
interface StreamPart {
  readonly epoch: string
  /** Up to where the client has everything after this answer. */
  readonly seq: number
  readonly publications: readonly Publication[]
  readonly gap: Gap | null
  readonly recovered: boolean
  readonly more: boolean
}

const EMPTY_PART: StreamPart = {
  epoch: '',
  seq: 0,
  publications: [],
  gap: null,
  recovered: false,
  more: false,
}

function partOf(entry: Entry, start: Position, page: StreamPage): StreamPart {
  const { request, context } = entry
  const recovers = request.item.since !== undefined
  // One publication larger than a page goes alone: alone in the whole answer of a batch.
  const [first] = page.publications
  const { budget } = request
  const tooLarge = first !== undefined && first.payloadBytes > budget.bytes
  const crowded = tooLarge && budget.messages < context.limits.maxPageMessages
  const publications = crowded ? [] : page.publications
  const last = publications.at(-1)
  const more = page.more || crowded
  const before = resumeAfter(start, page.gap)
  return {
    epoch: page.epoch,
    seq: last?.seq ?? (more ? before : page.head),
    publications,
    // `rewind` asks for what there is: nothing was promised that could be missing.
    gap: recovers ? page.gap : null,
    recovered: recovers && page.gap === null,
    more,
  }
}

function finish(
  entry: Entry,
  count: { position: Position; total: number },
  part: StreamPart,
): Joined {
  const { context, connection, channel, subscription, request } = entry
  const { topic } = channel
  request.budget.messages -= part.publications.length
  for (const publication of part.publications) request.budget.bytes -= publication.payloadBytes
  let more = part.more
  return {
    topic,
    json: () => {
      more ||= subscription.overflowed
      reportJoin(context, connection, { topic, part: { ...part, more } })
      return answerJson(request.item, topic, count.total, { ...part, more })
    },
    settle: (last) => {
      // A later entry of the batch goes on with what waits: its answer is the one that counts.
      if (!last || connection.subscriptions.get(topic) !== subscription) return
      if (more) {
        subscription.page()
        tellBroker(context, topic)
        return
      }
      for (const publication of subscription.settle(part)) {
        connection.outlet.push(eventParcel(publication, channel.conflates))
        context.journal.deliveredTotal += 1
      }
    },
  }
}

function reportJoin(
  context: RequestContext,
  connection: Connection,
  { topic, part }: { readonly topic: Topic; readonly part: StreamPart },
): void {
  if (connection.ended) return
  context.journal.subscribed({
    connectionId: connection.id,
    userId: connection.user.userId,
    topic,
    recovered: part.recovered,
    replayed: part.publications.length,
    gap: part.gap,
    more: part.more,
  })
}

function answerJson(item: SubscribeItem, topic: string, total: number, part: StreamPart): string {
  const gap = part.gap === null ? '' : `,"gap":${JSON.stringify(part.gap)}`
  const messageId =
    item.messageId === undefined ? '' : `,"messageId":${JSON.stringify(item.messageId)}`
  return (
    `{"status":"success","topic":${JSON.stringify(topic)},"subscriberCount":${total},` +
    `"epoch":${JSON.stringify(part.epoch)},"seq":${part.seq},"recovered":${part.recovered}${gap},` +
    `"messages":[${part.publications.map(eventJson).join(',')}],"more":${part.more}${messageId}}`
  )
}

function tooMany(context: RequestContext): RealtimeError {
  return new RealtimeError(
    'too_many_subscriptions',
    `this connection has its maximum of ${context.limits.maxSubscriptionsPerConnection} subscriptions`,
  )
}
