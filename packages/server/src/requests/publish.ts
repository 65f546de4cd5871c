import { hash } from 'node:crypto'
import {
  applySchema,
  encodePayload,
  RealtimeError,
  type User,
} from '@bmt-central/realtime-protocol'
import type { Accepted, Draft, Maybe } from '../broker/broker.js'
import type { Connection } from '../hub/connection.js'
import type { ResolvedRule } from '../rules.js'
import { APPLICATION_LIMIT_MS, isThenable, withTimeLimit } from '../time-limit.js'
import { authorise } from './authorise.js'
import type { RequestContext } from './context.js'
import { once, type Encoded, type PublishOrder } from './once.js'
import { takePublish, takeRequest } from './rates.js'

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
  const { topic } = order
  const charge = (): void => takeRequest(context, connection)
  const encoded = encodeOf(context, order.payload, charge)
  const { rule, matched } = context.hub.ruleOf(topic)
  const run = (): Maybe<Accepted> => {
    takePublish(context, connection, encoded.bytes)
    const allowed = authorise(context, { user, topic, action: 'publish', rule, matched })
    const go = (): Maybe<Accepted> => append(context, { order, encoded, rule, user })
    return allowed instanceof Promise ? allowed.then(go) : go()
  }
  return once(context, { order, encoded, rule, charge, run })
}

/** What is refused before its turn is paid for, too [L7]: it has cost as much. */
function encodeOf(context: RequestContext, payload: unknown, charge: () => void): Encoded {
  try {
    return encode(context, payload, true)
  } catch (error) {
    charge()
    throw error
  }
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
    run: () => once(context, { ...job, charge: () => undefined, run: () => append(context, job) }),
  }
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
      late: () => tooLate(context, job),
    }).catch(failed)
  } catch (error) {
    return failed(error)
  }
}

function tooLate({ journal }: RequestContext, { order }: Append): RealtimeError {
  const what = `the publish to ${order.topic} was not decided within ${APPLICATION_LIMIT_MS} ms`
  journal.failed(new Error(what), `schema or onPublish of ${order.topic}`)
  return new RealtimeError('publish_failed', what)
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
      context.journal.published(order, accepted)
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

/**
 * `parsed`: the payload is what a JSON parser gave.
 * @throws RealtimeError `validation_failed` · `invalid_message` · `payload_too_large` [L5]
 */
function encode(context: RequestContext, payload: unknown, parsed: boolean = false): Encoded {
  const { maxPayloadBytes, maxPayloadDepth } = context.limits
  const { json } = encodePayload(payload, {
    maxDepth: maxPayloadDepth,
    binary: false,
    parsed,
  })
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
