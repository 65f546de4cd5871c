import type {
  Gap,
  HistoryQuery,
  Logger,
  Position,
  Runtime,
  Topic,
} from '@bmt-central/realtime-protocol'

import type { Publication } from '../publication.js'

export type { Publication } from '../publication.js'

/** What can be answered at once is answered at once: a promise a publish costs more than the publish. */
export type Maybe<T> = T | Promise<T>

/** One message on its way in. The text is the server's JSON of what is to be published. */
export interface Draft {
  /** The publication's id, 1 to 64 of [A-Za-z0-9_-]. */
  readonly id: string
  /** The publishing user's id; null when the server itself publishes. Part of the idempotency key [P4]. */
  readonly from: string | null
  /** JSON of the payload, after `schema` and `onPublish`. */
  readonly payloadJson: string
  /** UTF-8 length of `payloadJson`. */
  readonly payloadBytes: number
  /** Hash of the server's JSON of the payload as it arrived [P4]; equal ids with other hashes conflict. */
  readonly hash: string
  /** The sender's publish just before this one; `out_of_order` where it is not accepted [W12]. */
  readonly after?: string
}

/** How much of one stream is kept [L2], or that nothing is [P11]. */
export interface StreamPolicy {
  readonly delivery: 'recoverable' | 'ephemeral'
  /** Publications; 0 keeps nothing. */
  readonly size: number
  readonly ttlMs: number
  /** Payload bytes. */
  readonly bytes: number
}

/** The result of a publish, the first one's for a resend [P4]. */
export interface Accepted {
  readonly epoch: string
  readonly seq: number
  readonly timestamp: number
  readonly duplicate: boolean
  readonly deliveredTo: number
  /** How long this id is remembered, where that is less than `idempotencyWindowMs` [L17]. */
  readonly windowMs?: number
}

/** The name of one publish: (user, topic, id) [P4]. */
export interface PublishKey {
  readonly from: string | null
  readonly id: string
  readonly hash: string
}

/** What part of a stream is asked for, and how much of it at most. */
export interface ReadQuery extends HistoryQuery {
  /** Publications of the page. */
  readonly limit: number
  /** Payload bytes of the page; one larger publication goes alone [L16]. */
  readonly maxBytes: number
}

/** Part of a stream, ascending [W13]. */
export interface StreamPage {
  readonly epoch: string
  /** The head of the stream when the page was read. */
  readonly head: number
  readonly gap: Gap | null
  readonly publications: readonly Publication[]
  /** Later ones with `since`, older ones without it. */
  readonly more: boolean
}

/** Where a broker reports to. Calls never throw and may come synchronously from within `publish`. */
export interface BrokerSink {
  /** A publication that has the broker's durability now [P6], in `seq` order for each topic [P1]. */
  publication(publication: Publication): void
  /** Announcements of a topic may have been missed: its subscribers must be brought up to date by `read`. */
  lost(topic: Topic): void
  /** Whether the broker takes publishes. */
  state(state: 'up' | 'down'): void
}

/** The limits that a broker keeps; meanings and defaults in contract section 7. Its own options win. */
export interface BrokerLimits {
  readonly idempotencyWindowMs: number
  readonly maxIdempotencyIds: number
  /** Left out: what the contract says for this kind of broker [L18]. */
  readonly maxRetainedBytes?: number
  readonly maxTopics: number
}

/** Where ephemeral publications are [P11]. */
export const NOWHERE: Position = { epoch: '', seq: 0 }

export interface BrokerContext {
  readonly limits: BrokerLimits
  readonly runtime: Runtime
  readonly logger: Logger
}

/** How full a broker is, for the statistics. */
export interface BrokerStats {
  readonly streams: number
  readonly retainedMessages: number
  readonly retainedBytes: number
  readonly idempotencyIds: number
  /**
   * How long an id that is accepted now is remembered: the broker's window, or less where the number
   * cuts it short [L17]. Told to every client that connects, which resends nothing older [P4].
   */
  readonly idempotencyWindowMs: number
  /** What it bounds, by name, for `getStats`: its own options may differ from the server's limits. */
  readonly bounds?: Readonly<Record<string, { readonly used: number; readonly cap: number }>>
}

/** Of a broker that has not started, or is closed. */
export const EMPTY_STATS: BrokerStats = {
  streams: 0,
  retainedMessages: 0,
  retainedBytes: 0,
  idempotencyIds: 0,
  idempotencyWindowMs: 0,
}

/**
 * What orders, retains and distributes publications. Laws, proven for every adapter by
 * `brokerContract`:
 *
 * 1. `publish` is atomic for each topic: sequence, retention, idempotency entry and announcement are
 *    one step; within an epoch `seq` grows by exactly 1 [P1].
 * 2. Nothing is announced or acknowledged before it has the broker's durability [P6]; announcements
 *    of a topic come in `seq` order.
 * 3. A resend of an accepted (topic, from, id) with the same hash within the window gives the first
 *    result with `duplicate: true` and announces nothing; another hash is `id_conflict` [P4]. A
 *    refused publish leaves no trace.
 * 4. `epoch` changes when part of a stream's past was or may have been lost: one position never means
 *    two messages. A topic that nothing is known of has the broker's base epoch and `seq` 0, and
 *    stores nothing; forgetting any position gives a new base epoch, and known streams keep theirs [L2].
 * 5. `read` never presents a partial list as whole: what is missing is said in `gap` [P3].
 * 6. After `subscribers(topic, n > 0)` has answered with a position, every later publication is
 *    announced [P9].
 *
 * Nothing above this port may assume that it knows all subscribers, that `publish` is quick, or that
 * announcements always arrive.
 */
export interface Broker {
  start(sink: BrokerSink, context: BrokerContext): Promise<{ windowEpoch: string }>
  /**
   * Appends one message. Ephemeral drafts are announced and forgotten: `seq` 0, `epoch` `''`.
   * @throws RealtimeError `out_of_order` · `id_conflict` · `broker_unavailable` · `publish_failed` ·
   *   `channel_full` (it knows as many topics as it can, and all of them have subscribers)
   */
  publish(topic: Topic, draft: Draft, policy: StreamPolicy): Maybe<Accepted>
  /**
   * The result of a publish that was accepted before and is still remembered, or null. Changes
   * nothing: a resend is answered from here before rights, rate and schema are looked at [P4].
   * @throws RealtimeError `id_conflict` (another hash)
   */
  accepted(topic: Topic, key: PublishKey): Maybe<Accepted | null>
  /** Whether `after` names an accepted publish of that user to that topic [W12]. */
  follows(topic: Topic, from: string | null, after: string): Maybe<boolean>
  /**
   * Tells how many connections of this server subscribe to the topic now, and how many of those are
   * live (the others still page [W10]; `deliveredTo` counts live ones only). 0: no more of the topic
   * is needed here. `total` counts all servers' subscribers, paging ones too.
   * @throws RealtimeError `broker_unavailable` · `channel_full` (as `publish`); never for 0
   */
  subscribers(
    topic: Topic,
    local: number,
    live?: number,
  ): Maybe<{ position: Position; total: number }>
  /** Part of a stream. With `before` of another epoch: as without it, and a gap says `epoch_changed` [W13]. */
  read(topic: Topic, query: ReadQuery): Maybe<StreamPage>
  /** How full it is. */
  stats(): BrokerStats
  /** Ends what it holds; publishes after that are `broker_unavailable`. */
  close(): Promise<void>
}
