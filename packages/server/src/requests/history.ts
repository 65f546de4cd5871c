import type { HistoryQuery, HistoryRequest, Topic } from '@bmt-central/realtime-protocol'
import type { Maybe, StreamPage } from '../broker/broker.js'
import { eventJson } from '../delivery/event-json.js'
import type { Connection } from '../hub/connection.js'
import { authorise } from './authorise.js'
import type { RequestContext } from './context.js'

/** `limit` where none is given [L16]. */
const DEFAULT_LIMIT = 50

/**
 * A page of a topic's past [W13]; needs the right to subscribe, not a subscription.
 * @throws RealtimeError `permission_denied` · `internal_error` · `broker_unavailable`
 */
export function history(
  context: RequestContext,
  connection: Connection,
  request: HistoryRequest,
): Maybe<StreamPage> {
  const { topic } = request
  const { rule, matched } = context.hub.ruleOf(topic)
  const { user } = connection
  const allowed = authorise(context, { user, topic, action: 'subscribe', rule, matched })
  return allowed instanceof Promise
    ? allowed.then(() => readHistory(context, topic, request))
    : readHistory(context, topic, request)
}

/** The same for the server itself, which needs no right. */
export function readHistory(
  context: RequestContext,
  topic: Topic,
  query: HistoryQuery,
): Maybe<StreamPage> {
  const { limits, hub, broker } = context
  if (hub.ruleOf(topic).rule.policy.delivery === 'ephemeral') return EMPTY_PAGE
  return broker.read(topic, {
    ...(query.since !== undefined && { since: query.since }),
    ...(query.before !== undefined && { before: query.before }),
    limit: Math.min(query.limit ?? DEFAULT_LIMIT, limits.maxPageMessages),
    maxBytes: limits.maxPageBytes,
  })
}

/** What an ephemeral channel's history is [P11]. */
const EMPTY_PAGE: StreamPage = { epoch: '', head: 0, gap: null, publications: [], more: false }

/** The acknowledgement's JSON. */
export function historyJson(topic: Topic, page: StreamPage, messageId?: string): string {
  const gap = page.gap === null ? '' : `,"gap":${JSON.stringify(page.gap)}`
  const id = messageId === undefined ? '' : `,"messageId":${JSON.stringify(messageId)}`
  return (
    `{"status":"success","topic":${JSON.stringify(topic)},"epoch":${JSON.stringify(page.epoch)},` +
    `"seq":${page.head}${gap},"messages":[${page.publications.map(eventJson).join(',')}],` +
    `"more":${page.more}${id}}`
  )
}
