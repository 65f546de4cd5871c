import {
  decide,
  RealtimeError,
  type Action,
  type RuleMatch,
  type Topic,
  type User,
} from '@bmt-central/realtime-protocol'
import type { Maybe } from '../broker/broker.js'
import type { AccessFunction, ResolvedRule } from '../rules.js'
import { APPLICATION_LIMIT_MS, isThenable, withTimeLimit } from '../time-limit.js'
import type { RequestContext } from './context.js'

/** Who wants to do what, and the rule of the topic. */
export interface RightsQuestion {
  readonly user: User
  readonly topic: Topic
  readonly action: Action
  readonly rule: ResolvedRule
  readonly matched: RuleMatch | null
}

/**
 * Asks the rules [P8][R7]. Answers at once where no function has to be asked.
 * @throws RealtimeError `permission_denied` (a rule said no) · `internal_error` (a rule function
 *   threw or took longer than 5 s: denied, retryable [P7])
 */
export function authorise(context: RequestContext, question: RightsQuestion): Maybe<void> {
  const verdict = decide(question.matched, question)
  if (verdict === 'allow') return undefined
  if (verdict === 'deny') throw denial(context, question)
  const ask = question.rule[question.action]
  if (ask === null) throw denial(context, question)
  const answer = askRule(context, ask, question)
  if (isThenable(answer)) {
    // Whatever it rejects with, also an error of ours: only a rule that said no denies for good.
    const asked = Promise.resolve(answer).catch((error: unknown) => {
      throw ruleFailed(context, question, error)
    })
    return withTimeLimit(context.runtime, asked, {
      ms: APPLICATION_LIMIT_MS,
      late: () =>
        ruleFailed(context, question, new Error(`no answer in ${APPLICATION_LIMIT_MS} ms`)),
    }).then((allowed) => settle(context, allowed, question))
  }
  return settle(context, answer, question)
}

function askRule(context: RequestContext, ask: AccessFunction, question: RightsQuestion): unknown {
  const { user, topic, action, matched } = question
  try {
    return ask({ user, topic, params: matched?.params ?? {}, action })
  } catch (error) {
    throw ruleFailed(context, question, error)
  }
}

/** Only `true` admits: a rule that returns something else by mistake admits nobody. */
function settle(context: RequestContext, allowed: unknown, question: RightsQuestion): void {
  if (allowed !== true) throw denial(context, question)
}

function denial(
  { rulesShown }: RequestContext,
  { user, topic, action, matched }: RightsQuestion,
): RealtimeError {
  const shown = rulesShown && matched !== null ? { rule: matched.rule.match } : {}
  const verb = action === 'publish' ? 'publish' : 'subscribe'
  return new RealtimeError('permission_denied', `user ${user.userId} may not ${verb} to ${topic}`, {
    details: { topic, action, ...shown },
  })
}

function ruleFailed(
  context: RequestContext,
  { topic, action, matched }: RightsQuestion,
  cause: unknown,
): RealtimeError {
  context.journal.failed(cause, `the ${action} rule ${matched?.rule.match ?? ''} for ${topic}`)
  return new RealtimeError('internal_error', `the rule for ${topic} could not be asked`, {
    details: { topic, action },
  })
}
