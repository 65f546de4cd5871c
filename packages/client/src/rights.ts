import {
  compileRules,
  decide,
  matchRule,
  RealtimeError,
  type Action,
  type ConnectedEvent,
  type Principal,
  type RuleMatch,
  type RuleSet,
  type Topic,
} from '@bmt-central/realtime-protocol'
import type { Draft } from './publishing/entry.js'

/** The permission that a built-in rule asks for [R2]. */
const BUILT_IN_PERMISSION = 'private_channel_access'
const NO_RULES = compileRules([])

/** What the client knows of rules and limits: from the last `connected`, kept while it is offline. */
export class Rights {
  #rules: RuleSet | null = null
  #connected: ConnectedEvent | null = null

  learn({ rules, connected }: { rules: RuleSet | null; connected: ConnectedEvent }): void {
    this.#rules = rules
    this.#connected = connected
  }

  get user(): ConnectedEvent['user'] | null {
    return this.#connected?.user ?? null
  }

  /** The refusal that the server would answer with [R8]; null: it is to be asked. */
  denied(topic: Topic, action: Action): RealtimeError | null {
    const { user } = this
    if (user === null || this.#rules === null) return null
    const matched = matchRule(this.#rules, topic)
    if (decide(matched, { user, topic, action }) !== 'deny') return null
    const message = `user ${user.userId} may not ${action} to ${topic}`
    return new RealtimeError('permission_denied', message, {
      details: { topic, action, ...(matched !== null && { rule: matched.rule.match }) },
    })
  }

  /** What a publish would be refused for, as far as that is known here [R8][L5]. */
  fault(draft: Pick<Draft, 'topic' | 'bytes' | 'binary'>): RealtimeError | null {
    const { topic, bytes, binary } = draft
    const denied = this.denied(topic, 'publish')
    if (denied !== null) return denied
    const maxBytes = this.#connected?.limits.maxPayloadBytes ?? Infinity
    // Bytes have places in the text that the server does not count: it is to judge those itself.
    if (bytes > maxBytes && !binary) {
      const message = `the payload has ${bytes} bytes, at most ${maxBytes} are possible`
      return new RealtimeError('payload_too_large', message)
    }
    if (binary && this.#rules !== null && matchRule(this.#rules, topic)?.rule.binary !== true) {
      const message = `the payload holds bytes, and the rule of ${topic} does not say \`binary: true\``
      return new RealtimeError('validation_failed', message)
    }
    return null
  }

  isEphemeral(topic: Topic): boolean {
    return this.#rules !== null && matchRule(this.#rules, topic)?.rule.delivery === 'ephemeral'
  }

  /** Whether the server may admit this; yes where only it can tell. */
  allows(action: Action, question: RightsQuestion): boolean {
    if (this.#rules === null) return true
    const { user } = this
    const own = user?.userId === question.userId ? user.permissions : undefined
    return mayBeAllowed(this.#rules, action, {
      ...question,
      permissions: question.permissions ?? own,
    })
  }

  get known(): boolean {
    return this.#rules !== null
  }
}

/** Of whom it is asked; without `permissions` nothing is known of them. */
export interface RightsQuestion {
  readonly channel: string
  readonly role: string
  readonly userId: string
  readonly permissions?: readonly string[] | undefined
}

/** The built-in rules alone [R1]–[R5]. */
export function builtInAllows(action: Action, question: RightsQuestion): boolean {
  return mayBeAllowed(NO_RULES, action, question)
}

/** Never says no to what the server would admit: where it cannot be known, the answer is yes. */
function mayBeAllowed(rules: RuleSet, action: Action, question: RightsQuestion): boolean {
  const { channel: topic, role, userId } = question
  const normalised = topic.normalize('NFC')
  const matched = matchRule(rules, normalised)
  const permissions = question.permissions ?? anyPermission(matched, action)
  const user: Principal = { userId, role, permissions }
  return decide(matched, { user, topic: normalised, action }) !== 'deny'
}

function anyPermission(matched: RuleMatch | null, action: Action): string[] {
  const access = matched?.rule[action]
  const wanted = typeof access === 'object' && 'permission' in access ? [access.permission] : []
  return [BUILT_IN_PERMISSION, ...wanted]
}
