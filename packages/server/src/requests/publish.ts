import { hash } from 'node:crypto'
import {
  applySchema,
  encodePayload,
  RealtimeError,
  type Topic,
  type User,
} from '@bmt-central/realtime-protocol'
import type { Accepted, Draft, Maybe } from '../broker/broker.js'
import type { Connection } from '../hub/connection.js'
import { takeTokens } from '../limits/token-bucket.js'
import type { ResolvedRule } from '../rules.js'
import { APPLICATION_LIMIT_MS, isThenable, withTimeLimit } from '../time-limit.js'
import { authorise } from './authorise.js'
import type { RequestContext } from './context.js'

/** One publish, whoever makes it. */
export interface PublishOrder {
  readonly topic: Topic
  readonly id: string
  readonly payload: unknown
  /** The publishing user's id; null: the server itself. */
  readonly from: string | null
  readonly after?: string
}

/** A payload's JSON and what it is recognised by. */
interface Encoded {
  readonly json: string
  readonly bytes: number
  readonly hash: string
}

/**
 * A client's publish [W12]. The order of the checks is the contract's: a resend of what was accepted
 * is answered before rate, rights and schema are looked at [P4]; `onPublish` comes last [R9].
 *
 * @throws RealtimeError every code that section 5 of the contract lists for requests
 */
export function publishForConnection(
  context: RequestContext,
  connection: Connection,
  order: PublishOrder,
): Maybe<Accepted> {
  const { user } = connection
  const { topic, payload } = order
  const encoded = encode(context, payload)
  return once(context, { order, encoded }, () => {
    takePublish(context, connection, encoded.bytes)
    const { rule, matched } = context.hub.ruleOf(topic)
    const allowed = authorise(context, { user, topic, action: 'publish', rule, matched })
    const go = (): Maybe<Accepted> => append(context, { order, encoded, rule, user })
    return allowed instanceof Promise ? allowed.then(go) : go()
  })
}

/**
 * The server's own publish: free of rights and rates, not of schema. The payload is encoded now; `run`
 * carries the publish out.
 * @throws RealtimeError `validation_failed` · `invalid_message` · `payload_too_large` [L5]
 */
export function prepareForServer(
  context: RequestContext,
  given: PublishOrder,
): { readonly bytes: number; readonly run: () => Maybe<Accepted> } {
  const encoded = encode(context, given.payload)
  const { rule } = context.hub.ruleOf(given.topic)
  // A schema may look at the payload later, when its caller has changed it.
  const payload: unknown = rule.schema === null ? null : JSON.parse(encoded.json)
  const job: Append = { order: { ...given, payload }, encoded, rule, user: null }
  return {
    bytes: encoded.bytes,
    run: () => once(context, job, () => append(context, job)),
  }
}

/**
 * Carries a publish out once for each (user, topic, id) [P4]: what was accepted before gives its
 * first result, what is in progress (on another connection of the user) is waited for.
 */
function once(
  context: RequestContext,
  { order, encoded }: { order: PublishOrder; encoded: Encoded },
  run: () => Maybe<Accepted>,
): Maybe<Accepted> {
  const key = `${order.topic}\n${order.from ?? ''}\n${order.from === null ? 's' : 'u'}${order.id}`
  const first = context.publishing.get(key)
  if (first !== undefined) {
    if (first.hash === encoded.hash) return first.result.then(asDuplicate)
    // Another payload under the same id: what becomes of the first decides.
    const again = (): Promise<Accepted> => Promise.resolve(once(context, { order, encoded }, run))
    return first.result.then(again, again)
  }
  const started = attempt(context, { order, encoded }, run)
  if (!(started instanceof Promise)) return started
  const result = started.finally(() => context.publishing.delete(key))
  context.publishing.set(key, { hash: encoded.hash, result })
  return result
}

function asDuplicate(first: Accepted): Accepted {
  return { ...first, duplicate: true }
}

function attempt(
  context: RequestContext,
  { order, encoded }: { order: PublishOrder; encoded: Encoded },
  run: () => Maybe<Accepted>,
): Maybe<Accepted> {
  const { broker } = context
  const proceed = (known: Accepted | null): Maybe<Accepted> => {
    if (known !== null) return known
    if (order.after === undefined) return run()
    // Nothing of an ephemeral topic is remembered: there is nothing to come after [P11].
    if (context.hub.ruleOf(order.topic).rule.policy.delivery === 'ephemeral') return run()
    const follows = broker.follows(order.topic, order.from, order.after)
    const check = (after: boolean): Maybe<Accepted> => {
      if (!after) throw outOfOrder(order)
      return run()
    }
    return follows instanceof Promise ? follows.then(check) : check(follows)
  }
  const key = { from: order.from, id: order.id, hash: encoded.hash }
  const known = broker.accepted(order.topic, key)
  return known instanceof Promise ? known.then(proceed) : proceed(known)
}

function outOfOrder({ topic, after }: PublishOrder): RealtimeError {
  return new RealtimeError('out_of_order', `publish ${after} to ${topic} is not accepted`, {
    details: { topic, after },
  })
}

/** @throws RealtimeError `rate_limited` [L6] */
function takePublish(context: RequestContext, connection: Connection, bytes: number): void {
  const { limits, runtime } = context
  const now = runtime.monotonicNow()
  const count = { perSecond: limits.publishesPerSecond, burst: limits.publishBurst }
  const volume = { perSecond: limits.publishBytesPerSecond, burst: limits.publishBytesBurst }
  const waitMs = takeTokens(connection.publishBucket, count, 1, now)
  if (waitMs > 0) throw rateLimited(`${limits.publishesPerSecond} publishes`, waitMs)
  const volumeWaitMs = takeTokens(connection.publishBytesBucket, volume, bytes, now)
  if (volumeWaitMs === 0) return
  connection.publishBucket.tokens += 1
  throw rateLimited(`${limits.publishBytesPerSecond} bytes of publishes`, volumeWaitMs)
}

function rateLimited(what: string, waitMs: number): RealtimeError {
  return new RealtimeError('rate_limited', `more than ${what} a second`, {
    retryAfterMs: Math.ceil(waitMs),
  })
}

interface Append {
  readonly order: PublishOrder
  readonly encoded: Encoded
  readonly rule: ResolvedRule
  /** Whose `onPublish` is asked; null: the server's own publish, which asks nobody. */
  readonly user: User | null
}

function append(context: RequestContext, job: Append): Maybe<Accepted> {
  const changed = shape(context, job)
  return changed instanceof Promise
    ? changed.then((payload) => hand(context, job, payload))
    : hand(context, job, changed)
}

/** What `schema` and `onPublish` make of the payload; `UNCHANGED` where they leave it alone. */
function shape(context: RequestContext, job: Append): unknown {
  const { schema } = job.rule
  if (schema === null) return enrich(context, job, UNCHANGED)
  const checked = guarded(context, job, () => applySchema(schema, job.order.payload))
  return checked instanceof Promise
    ? checked.then((payload) => enrich(context, job, payload))
    : enrich(context, job, checked)
}

const UNCHANGED = Symbol('unchanged')

function enrich(context: RequestContext, job: Append, payload: unknown): unknown {
  const { onPublish } = job.rule
  const { user, order } = job
  if (onPublish === null || user === null) return payload
  const given = payload === UNCHANGED ? order.payload : payload
  const returned = guarded(context, job, () =>
    onPublish({ user, topic: order.topic, payload: given, id: order.id }),
  )
  const result = (value: unknown): unknown => (value === undefined ? payload : value)
  return returned instanceof Promise ? returned.then(result) : result(returned)
}

/** Runs a function of the application's: 5 s, and only its `RealtimeError` is the publisher's answer [R9]. */
function guarded(context: RequestContext, job: Append, run: () => unknown): unknown {
  const failed = (error: unknown): never => {
    if (error instanceof RealtimeError) throw error
    context.journal.failed(error, `schema or onPublish of ${job.order.topic}`)
    throw new RealtimeError('publish_failed', `the publish to ${job.order.topic} was not accepted`)
  }
  try {
    const value = run()
    if (!isThenable(value)) return value
    return withTimeLimit(context.runtime, Promise.resolve(value), {
      ms: APPLICATION_LIMIT_MS,
      late: () =>
        new RealtimeError(
          'publish_failed',
          `the publish to ${job.order.topic} was not decided within ${APPLICATION_LIMIT_MS} ms`,
        ),
    }).catch(failed)
  } catch (error) {
    return failed(error)
  }
}

function hand(context: RequestContext, job: Append, payload: unknown): Maybe<Accepted> {
  const { order, encoded, rule } = job
  const published = payload === UNCHANGED ? encoded : encode(context, payload)
  const channel = context.hub.open(order.topic)
  const draft: Draft = {
    id: order.id,
    from: order.from,
    payloadJson: published.json,
    payloadBytes: published.bytes,
    hash: encoded.hash,
    ...(order.after !== undefined && { after: order.after }),
  }
  channel.uses += 1
  const taken = (accepted: Accepted): Accepted => {
    channel.uses -= 1
    if (!accepted.duplicate) {
      channel.messageCount += 1
      channel.emptySince = context.runtime.monotonicNow()
      const { epoch, seq, timestamp, deliveredTo } = accepted
      const { topic, id, from } = order
      context.journal.published({ topic, id, epoch, seq, from, deliveredTo, timestamp })
    }
    return accepted
  }
  const failed = (error: unknown): never => {
    channel.uses -= 1
    if (error instanceof RealtimeError) throw error
    context.journal.failed(error, `the broker's publish to ${order.topic}`)
    throw new RealtimeError(
      'publish_failed',
      `the broker did not take the publish to ${order.topic}`,
    )
  }
  try {
    const accepted = context.broker.publish(order.topic, draft, rule.policy)
    return accepted instanceof Promise ? accepted.then(taken, failed) : taken(accepted)
  } catch (error) {
    return failed(error)
  }
}

/** @throws RealtimeError `validation_failed` · `invalid_message` · `payload_too_large` [L5] */
function encode(context: RequestContext, payload: unknown): Encoded {
  const { maxPayloadBytes, maxPayloadDepth } = context.limits
  const { json } = encodePayload(payload, { maxDepth: maxPayloadDepth, binary: false })
  const bytes = Buffer.byteLength(json)
  if (bytes > maxPayloadBytes) {
    throw new RealtimeError(
      'payload_too_large',
      `the payload has ${bytes} bytes, at most ${maxPayloadBytes} are possible`,
      { details: { bytes, maxPayloadBytes } },
    )
  }
  return { json, bytes, hash: hash('sha1', json, 'base64') }
}
