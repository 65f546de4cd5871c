import type { Topic } from '@bmt-central/realtime-protocol'
import type { Accepted, Maybe } from '../broker/broker.js'
import { outOfOrder, publishName } from '../broker/publish-key.js'
import type { ResolvedRule } from '../rules.js'
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
export interface Encoded {
  readonly json: string
  readonly bytes: number
  readonly hash: string
}

/** A publish before it is known whether it is the first with its id. */
export interface PublishAttempt {
  readonly order: PublishOrder
  readonly encoded: Encoded
  /** Of the topic. */
  readonly rule: ResolvedRule
  /** Pays for an answer that is not the result of `run`. @throws RealtimeError `rate_limited` */
  readonly charge: () => void
  readonly run: () => Maybe<Accepted>
}

/**
 * Carries a publish out once for each (user, topic, id) [P4]: what was accepted before gives its
 * first result, what is in progress (on another connection of the user) is waited for. Ephemeral
 * publishes are carried out as often as they come: nothing of them is remembered [P11].
 *
 * @throws RealtimeError `id_conflict` · `out_of_order` · whatever `run` throws
 */
export function once(context: RequestContext, attempt: PublishAttempt): Maybe<Accepted> {
  const { order, encoded, rule } = attempt
  if (rule.policy.delivery === 'ephemeral') return attempt.run()
  const { publishing } = context
  const name = (): string => publishName(order.topic, order.from, order.id)
  const first = publishing.size === 0 ? undefined : publishing.get(name())
  if (first !== undefined) {
    // Another payload under the same id: what becomes of the first decides.
    const again = (): Maybe<Accepted> => once(context, attempt)
    if (first.hash !== encoded.hash) return first.result.then(again, again)
    attempt.charge()
    return first.result.then((accepted) => ({ ...accepted, duplicate: true }))
  }
  const started = begin(context, attempt)
  if (!(started instanceof Promise)) return started
  const key = name()
  const result = started.finally(() => publishing.delete(key))
  publishing.set(key, { hash: encoded.hash, result })
  return result
}

function begin(context: RequestContext, attempt: PublishAttempt): Maybe<Accepted> {
  const { order, encoded } = attempt
  const conflict = (error: unknown): never => {
    attempt.charge()
    throw error
  }
  const proceed = (known: Accepted | null): Maybe<Accepted> => {
    if (known === null) return inOrder(context, attempt)
    attempt.charge()
    return known
  }
  let known: Maybe<Accepted | null>
  try {
    known = context.broker.accepted(order.topic, {
      from: order.from,
      id: order.id,
      hash: encoded.hash,
    })
  } catch (error) {
    return conflict(error)
  }
  return known instanceof Promise ? known.then(proceed, conflict) : proceed(known)
}

/** Not before the publish that it names as the one before it [W12]. */
function inOrder(context: RequestContext, attempt: PublishAttempt): Maybe<Accepted> {
  const { topic, from, after } = attempt.order
  if (after === undefined) return attempt.run()
  const check = (follows: boolean): Maybe<Accepted> => {
    if (follows) return attempt.run()
    attempt.charge()
    throw outOfOrder(topic, after)
  }
  const follows = context.broker.follows(topic, from, after)
  return follows instanceof Promise ? follows.then(check) : check(follows)
}
