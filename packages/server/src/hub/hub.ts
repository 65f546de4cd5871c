import {
  matchRule,
  RealtimeError,
  type RuleMatch,
  type Runtime,
  type Topic,
} from '@bmt-central/realtime-protocol'
import type { Limits } from '../limits/limits.js'
import type { ResolvedRule, Rules } from '../rules.js'
import { Channel } from './channel.js'
import type { Connection } from './connection.js'
import { Subscription } from './subscription.js'
import { Users } from './users.js'

/** What the hub reports: channels that open and lose their last subscriber. */
export interface HubEvents {
  readonly channelOpened: (channel: Channel) => void
  readonly channelEmpty: (channel: Channel) => void
}

/** Who is connected to this server, by id, user, instance and topic. No I/O, never a broker. */
export class Hub {
  readonly connections: Map<string, Connection> = new Map()
  readonly channels: Map<Topic, Channel> = new Map()
  readonly #users = new Users()
  readonly #instances = new Map<string, Connection>()
  readonly #admitted = new Map<string, string>()
  readonly #admittedByUser = new Map<string, number>()
  readonly #rules: Rules
  readonly #limits: Limits
  readonly #runtime: Runtime
  readonly #events: HubEvents

  constructor(facts: { rules: Rules; limits: Limits; runtime: Runtime; events: HubEvents }) {
    this.#rules = facts.rules
    this.#limits = facts.limits
    this.#runtime = facts.runtime
    this.#events = facts.events
  }

  get userCount(): number {
    return this.#users.size
  }

  /** Places that are taken for connections which have not opened yet. */
  get reservedCount(): number {
    return this.#admitted.size
  }

  connectionsOf(userId: string): readonly Connection[] {
    return this.#users.connectionsOf(userId)
  }

  /** The user's live connection of the same client object, which a new one replaces [W2]. */
  instanceOf(userId: string, instance: string | undefined): Connection | undefined {
    return instance === undefined ? undefined : this.#instances.get(instanceKey(userId, instance))
  }

  /**
   * Takes a place for a connection that has been authenticated and is about to open [L3].
   * @throws RealtimeError `too_many_connections`
   */
  reserve(connectionId: string, userId: string, instance: string | undefined): void {
    const replaced = this.instanceOf(userId, instance) === undefined ? 0 : 1
    const all = this.connections.size + this.#admitted.size - replaced
    if (all >= this.#limits.maxConnections) {
      throw new RealtimeError(
        'too_many_connections',
        `this server has its maximum of ${this.#limits.maxConnections} connections`,
      )
    }
    const own = this.#users.count(userId) + (this.#admittedByUser.get(userId) ?? 0)
    if (own - replaced >= this.#limits.maxConnectionsPerUser) {
      throw new RealtimeError(
        'too_many_connections',
        `user ${userId} has the maximum of ${this.#limits.maxConnectionsPerUser} connections`,
      )
    }
    this.#admitted.set(connectionId, userId)
    this.#admittedByUser.set(userId, (this.#admittedByUser.get(userId) ?? 0) + 1)
  }

  /** Gives back a reserved place: the connection has opened, or will not. */
  release(connectionId: string): void {
    const userId = this.#admitted.get(connectionId)
    if (userId === undefined) return
    this.#admitted.delete(connectionId)
    const left = (this.#admittedByUser.get(userId) ?? 1) - 1
    if (left > 0) this.#admittedByUser.set(userId, left)
    else this.#admittedByUser.delete(userId)
  }

  add(connection: Connection): void {
    this.release(connection.id)
    const { userId } = connection.user
    this.connections.set(connection.id, connection)
    this.#users.add(connection)
    const { instance } = connection.client
    const before = this.instanceOf(userId, instance)
    if (instance === undefined || (before !== undefined && isOlder(connection, before))) return
    this.#instances.set(instanceKey(userId, instance), connection)
  }

  /** Removes a connection and its subscriptions; gives the channels that it was in. */
  remove(connection: Connection): Channel[] {
    if (!this.connections.delete(connection.id)) return []
    const { userId } = connection.user
    this.#users.remove(connection)
    const { instance } = connection.client
    if (instance !== undefined && this.instanceOf(userId, instance) === connection) {
      this.#instances.delete(instanceKey(userId, instance))
    }
    const left: Channel[] = []
    for (const topic of Array.from(connection.subscriptions.keys())) {
      const channel = this.channels.get(topic)
      if (channel !== undefined && this.leave(connection, channel)) left.push(channel)
    }
    return left
  }

  /** The rule of a topic and what its placeholders stand for, also where no channel is open. */
  ruleOf(topic: Topic): { rule: ResolvedRule; matched: RuleMatch | null } {
    const channel = this.channels.get(topic)
    if (channel !== undefined) return channel
    const matched = matchRule(this.#rules.set, topic)
    const rule = matched === null ? undefined : this.#rules.list[matched.index]
    return { rule: rule ?? this.#rules.fallback, matched }
  }

  /**
   * The channel of a topic, opened where there is none.
   * @throws RealtimeError `channel_full` [L11]
   */
  open(topic: Topic): Channel {
    const known = this.channels.get(topic)
    if (known !== undefined) return known
    if (this.channels.size >= this.#limits.maxTopics) {
      throw new RealtimeError(
        'channel_full',
        `this server has its maximum of ${this.#limits.maxTopics} live topics`,
      )
    }
    const channel = new Channel({
      topic,
      ...this.ruleOf(topic),
      createdAt: this.#runtime.wallNow(),
      now: this.#runtime.monotonicNow(),
    })
    this.channels.set(topic, channel)
    this.#events.channelOpened(channel)
    return channel
  }

  join(connection: Connection, channel: Channel): Subscription {
    const known = connection.subscriptions.get(channel.topic)
    if (known !== undefined) return known
    const subscription = new Subscription(channel)
    connection.subscriptions.set(channel.topic, subscription)
    channel.subscribers.set(connection, subscription)
    return subscription
  }

  /** Ends one subscription. False where there was none. */
  leave(connection: Connection, channel: Channel): boolean {
    const subscription = connection.subscriptions.get(channel.topic)
    if (subscription === undefined) return false
    connection.subscriptions.delete(channel.topic)
    channel.subscribers.delete(connection)
    subscription.leave()
    if (channel.subscribers.size === 0) {
      channel.emptySince = this.#runtime.monotonicNow()
      this.#events.channelEmpty(channel)
    }
    return true
  }

  /** Drops the live state of channels that have been empty for so long [L12]. */
  dropEmpty(forMs: number): number {
    const now = this.#runtime.monotonicNow()
    let dropped = 0
    for (const channel of Array.from(this.channels.values())) {
      const idle = channel.subscribers.size === 0 && channel.uses === 0
      if (!idle || now - channel.emptySince < forMs) continue
      this.channels.delete(channel.topic)
      dropped += 1
    }
    return dropped
  }
}

/**
 * Whether a connection is of an earlier link than another one of its instance: a link that its client
 * has dropped may be admitted late, where the server does not know of the end yet [W2].
 */
export function isOlder({ client }: Connection, than: Connection): boolean {
  const [attempt, other] = [client.attempt, than.client.attempt]
  return attempt !== undefined && other !== undefined && attempt < other
}

function instanceKey(userId: string, instance: string): string {
  return `${userId}\n${instance}`
}
