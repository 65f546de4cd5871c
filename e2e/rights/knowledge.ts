import type { RealtimeClient } from '@bmt-central/realtime'
import { RealtimeError } from '@bmt-central/realtime'
import { decide, type Access, type Action, type User } from '@bmt-central/realtime-protocol'
import {
  wireRules,
  type Judge,
  type RightsOutcome,
  type TableRule,
} from '@bmt-central/realtime-protocol/testing'
import type { ChannelRule, RealtimeServiceOptions } from '@bmt-central/realtime-server'

/** What a client can know of an application's rules [R8], and the server that lets it know so much. */
export const KNOWLEDGE = {
  'rules that are sent': (rules) => ({ channels: rules }),
  'rules that are functions': (rules) => ({ channels: rules.map(asked) }),
  'rules that are kept back': (rules) => ({ channels: rules, shareRules: false }),
} as const satisfies Record<
  string,
  (rules: readonly TableRule[]) => Pick<RealtimeServiceOptions, 'channels' | 'shareRules'>
>

/** Whoever comes with a token is the user that the token is the JSON of. */
export const AUTHENTICATE = ({ token }: { token: string | null }): User =>
  JSON.parse(token ?? 'null') as User

/** The same rule with functions in place of words, roles and permissions. */
function asked(rule: TableRule): ChannelRule {
  const ask =
    (access: Access | Judge = 'nobody'): Judge =>
    (request) => {
      if (typeof access === 'function') return access(request)
      const [shown] = wireRules([{ ...rule, subscribe: access, publish: access }])
      if (shown === undefined) return false
      const matched = { rule: shown, index: 0, params: request.params }
      return decide(matched, request) === 'allow'
    }
  return { match: rule.match, subscribe: ask(rule.subscribe), publish: ask(rule.publish) }
}

/** What comes of it when a client tries. */
export interface Attempt {
  readonly outcome: RightsOutcome
  readonly error: RealtimeError | null
}

/** Subscribes or publishes, as a user would. */
export async function attempt(
  client: RealtimeClient,
  { action, topic }: { action: Action; topic: string },
): Promise<Attempt> {
  const subscription = action === 'subscribe' ? client.subscribe(topic, () => undefined) : undefined
  try {
    await (subscription?.ready ?? client.publish(topic, 'hello'))
    return { outcome: 'allow', error: null }
  } catch (error) {
    if (!(error instanceof RealtimeError)) throw error
    return { outcome: error.code as RightsOutcome, error }
  } finally {
    subscription?.unsubscribe()
  }
}
