import type { RuleMatch, Topic } from '@bmt-central/realtime-protocol'
import type { Publication } from '../publication.js'
import type { ResolvedRule } from '../rules.js'
import type { Connection } from './connection.js'
import type { Subscription } from './subscription.js'

/** The server's live state of one topic: who subscribes, under which rule, how much was said. */
export class Channel {
  readonly topic: Topic
  readonly rule: ResolvedRule
  readonly matched: RuleMatch | null
  /** ms since the Unix epoch. */
  readonly createdAt: number
  readonly subscribers: Map<Connection, Subscription> = new Map()
  /** Subscriptions that messages reach; the others still read pages [W10]. Kept by `Subscription`. */
  live = 0
  /** Subscriptions whose past is being read: publications wait in them. Kept by `Subscription`. */
  readonly joining: Set<Subscription> = new Set()
  /** Publications that were announced while somebody subscribed. */
  announced = 0
  /** The last of them, which leave at the end of this turn. */
  waiting: Publication[] = []
  /** Publications since the channel was opened. */
  messageCount = 0
  /** By the monotonic clock: since when nobody subscribes. */
  emptySince: number
  /** Requests that use it at the moment: it must not be dropped under them. */
  uses = 0

  constructor(facts: {
    topic: Topic
    rule: ResolvedRule
    matched: RuleMatch | null
    createdAt: number
    now: number
  }) {
    this.topic = facts.topic
    this.rule = facts.rule
    this.matched = facts.matched
    this.createdAt = facts.createdAt
    this.emptySince = facts.now
  }

  get ephemeral(): boolean {
    return this.rule.policy.delivery === 'ephemeral'
  }

  /** Whether a slow reader gets only the newest [L8][P11]. */
  get conflates(): boolean {
    return this.ephemeral || this.rule.overflow === 'latest'
  }
}
