import {
  RealtimeError,
  resumeAfter,
  toWireFailure,
  type Gap,
  type Position,
  type RefusedItem,
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
import { reportRefusal } from './refusal.js'

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
function mayJoin(context: RequestContext, connection: Connection, topic: Topic): Maybe<void> {
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

function join(
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

/** Ends a subscription that there may be, and says so. */
export function endSubscription(
  context: RequestContext,
  connection: Connection,
  channel: Channel,
): void {
  if (!leaveChannel(context, connection, channel)) return
  const { id: connectionId, user } = connection
  context.journal.unsubscribed({ connectionId, userId: user.userId, topic: channel.topic })
}

/** Takes a connection out of a channel and tells the broker. False where it was not in it. */
function leaveChannel(context: RequestContext, connection: Connection, channel: Channel): boolean {
  if (!context.hub.leave(connection, channel)) return false
  tellBroker(context, channel.topic)
  return true
}

/** Tells the broker how many subscribe here now, where nobody waits for its answer. */
export function tellBroker(context: RequestContext, topic: Topic): void {
  const where = `telling the broker who subscribes to ${topic}`
  // Looked up: the channel that somebody left may have been dropped, and opened anew by somebody else.
  const channel = context.hub.channels.get(topic)
  try {
    const told = context.broker.subscribers(
      topic,
      channel?.subscribers.size ?? 0,
      channel?.live ?? 0,
    )
    if (told instanceof Promise) {
      told.catch((error: unknown) => context.journal.failed(error, where))
    }
  } catch (error) {
    context.journal.failed(error, where)
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
      if (connection.subscriptions.get(topic) !== subscription) return
      if (more) {
        // A later entry of the batch goes on with what waits.
        if (!last) return
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

/**
 * Subscribes to several topics in one request [W10]: each has its own result, in the order of the
 * request; all share one page; live delivery of each begins behind the one answer. The rules of all
 * are asked side by side.
 */
export async function subscribeBatch(
  context: RequestContext,
  connection: Connection,
  request: {
    readonly items: readonly (SubscribeItem | RefusedItem)[]
    readonly messageId?: string
  },
): Promise<Joined> {
  const budget = newPageBudget(context)
  const allowed = request.items.map((item) => mayJoinItem(context, connection, item))
  const joined: Joined[] = []
  for (const [index, item] of request.items.entries()) {
    try {
      if ('error' in item) throw item.error
      await allowed[index]
      joined.push(await join(context, connection, { item, budget }))
    } catch (error) {
      joined.push(refusalOf(context, connection, { item, error }))
    }
  }
  const messageId =
    request.messageId === undefined ? '' : `,"messageId":${JSON.stringify(request.messageId)}`
  const lastOf = new Map(joined.map(({ topic }, index) => [topic, index]))
  return {
    json: () => {
      const results = joined.map(({ json }) => json())
      return `{"status":"success","results":[${results.join(',')}]${messageId}}`
    },
    settle: () => {
      for (const [index, one] of joined.entries()) one.settle(lastOf.get(one.topic) === index)
    },
  }
}

/** The rights of one entry; its refusal is heard when its turn comes. */
function mayJoinItem(
  context: RequestContext,
  connection: Connection,
  item: SubscribeItem | RefusedItem,
): Promise<void> {
  if ('error' in item) return Promise.resolve()
  const asked = Promise.resolve().then(() => mayJoin(context, connection, item.topic))
  asked.catch(() => undefined)
  return asked
}

function refusalOf(
  context: RequestContext,
  connection: Connection,
  { item, error }: { item: SubscribeItem | RefusedItem; error: unknown },
): Joined {
  const topic = item.topic === undefined ? {} : { topic: item.topic }
  reportRefusal(context, connection, { event: 'subscribe', ...topic, error })
  const json = JSON.stringify({ ...toWireFailure(error, item.messageId), ...topic })
  return { json: () => json, settle: () => undefined }
}
