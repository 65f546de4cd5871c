import { RealtimeError, type Position, type Topic } from '@bmt-central/realtime-protocol'
import type { AcceptedIds, TopicIds } from './accepted-ids.js'
import { newPlace, Recency, type Place } from './recency.js'
import type { Stream } from './stream.js'

/** How long the position of a stream is known that nobody uses [L2]. */
const POSITION_TTL_MS = 7 * 24 * 60 * 60_000
/** Topics that are known at once, for each that may be live: the idle ones of 7 days need room. */
const KNOWN_PER_LIVE_TOPIC = 2

/** What has to be known of a stream to keep all of them within bounds, wherever its texts are. */
export interface KeptStream {
  readonly epoch: string
  /** `seq` of the newest publication, retained or not. */
  readonly head: number
  /** Publications that are retained. */
  readonly size: number
  /** What they take, where the broker keeps them [L18]. */
  readonly heldBytes: number
  expire(nowMs: number): void
  /** Drops the oldest retained publication, if there is one. */
  dropOldest(): void
}

/** What is known of one topic: it has subscribers here, or a position. */
export class TopicState<S extends KeptStream = Stream> {
  readonly topic: Topic
  readonly stream: S
  /** Null where none is remembered: most of the topics that are known are idle. */
  ids: TopicIds | null = null
  /** Subscribers of this server, and how many of them are live. */
  local = 0
  live = 0
  /** An append is under way: it is not forgotten meanwhile. */
  pinned = false
  usedAtMs: number
  readonly place: Place<TopicState<S>>
  /** What of the stream is in the sums: `streams` is 1 once it has a position. */
  readonly counted = { streams: 0, messages: 0, bytes: 0 }

  constructor(topic: Topic, stream: S, nowMs: number) {
    this.topic = topic
    this.stream = stream
    this.usedAtMs = nowMs
    this.place = newPlace<TopicState<S>>(this)
  }
}

/** What bounds the topics of a broker. */
export interface TopicBounds {
  readonly maxTopics: number
  readonly maxRetainedBytes: number
}

/** What the topics of a broker are made with. */
export interface TopicParts<S extends KeptStream> {
  readonly ids: AcceptedIds
  readonly newEpoch: () => string
  readonly newStream: (epoch: string) => S
  /** Where the base epoch is known from before. */
  readonly baseEpoch?: string
  /** Told of each topic that is not known any more. */
  readonly forgotten?: (state: TopicState<S>) => void
}

/**
 * The topics that a broker knows anything of, and what goes when there are too many of them or they
 * hold too much: the longest unused first, where a topic with subscribers is in use. Instants are ms
 * of a clock that never runs backwards, passed in.
 */
export class KnownTopics<S extends KeptStream = Stream> {
  readonly #bounds: TopicBounds
  readonly #ids: AcceptedIds
  readonly #newEpoch: () => string
  readonly #parts: TopicParts<S>
  readonly #states = new Map<Topic, TopicState<S>>()
  /** Positions without publications and subscribers: the first to be forgotten. */
  readonly #bare = new Recency<TopicState<S>>()
  /** Publications without subscribers: the first to be dropped. */
  readonly #unread = new Recency<TopicState<S>>()
  /** Publications of topics that have subscribers. */
  readonly #followed = new Recency<TopicState<S>>()
  #baseEpoch: string
  #streams = 0
  #messages = 0
  #bytes = 0

  constructor(bounds: TopicBounds, parts: TopicParts<S>) {
    this.#bounds = bounds
    this.#ids = parts.ids
    this.#newEpoch = parts.newEpoch
    this.#parts = parts
    this.#baseEpoch = parts.baseEpoch ?? parts.newEpoch()
  }

  /** The epoch of every topic that nothing is known of [L2]. */
  get baseEpoch(): string {
    return this.#baseEpoch
  }

  /** Topics with a position. */
  get streams(): number {
    return this.#streams
  }

  get retainedMessages(): number {
    return this.#messages
  }

  /** About what the retained publications take where they are kept. */
  get retainedBytes(): number {
    return this.#bytes
  }

  get(topic: Topic): TopicState<S> | undefined {
    return this.#states.get(topic)
  }

  values(): IterableIterator<TopicState<S>> {
    return this.#states.values()
  }

  /**
   * Begins to know a topic. Where too many are known, the one longest unused is forgotten: of those
   * that retain nothing, then of the others, never one that has subscribers.
   * @throws RealtimeError `channel_full` where all have subscribers
   */
  add(topic: Topic, nowMs: number): TopicState<S> {
    const most = this.#bounds.maxTopics * KNOWN_PER_LIVE_TOPIC
    if (this.#states.size >= most) {
      const longestUnused = this.#bare.oldest ?? this.#unread.oldest
      if (longestUnused === null) {
        throw new RealtimeError('channel_full', `the broker has its maximum of ${most} live topics`)
      }
      this.#forget(longestUnused, nowMs)
    }
    const state = new TopicState<S>(topic, this.#parts.newStream(this.#baseEpoch), nowMs)
    this.#states.set(topic, state)
    return state
  }

  /** Knows a topic again that was known before a restart. */
  restore(topic: Topic, stream: S, nowMs: number): TopicState<S> {
    const state = new TopicState<S>(topic, stream, nowMs)
    this.#states.set(topic, state)
    return state
  }

  /** Takes note of how many subscribe on this server, and says what they subscribe to. */
  follow(
    topic: Topic,
    { local, live }: { readonly local: number; readonly live: number },
    nowMs: number,
  ): { position: Position; total: number } {
    const known = this.#states.get(topic)
    if (known === undefined && local === 0) {
      return { position: { epoch: this.#baseEpoch, seq: 0 }, total: 0 }
    }
    const state = known ?? this.add(topic, nowMs)
    state.local = local
    state.live = live
    this.used(state, nowMs)
    return { position: { epoch: state.stream.epoch, seq: state.stream.head }, total: local }
  }

  /** Keeps a topic from being forgotten, until it is `used` after `pinned` was taken back. */
  pin(state: TopicState<S>): void {
    state.pinned = true
    state.place.list?.remove(state.place)
  }

  /** Takes note of a use, and of what it changed. A topic without subscribers and position is let go. */
  used(state: TopicState<S>, nowMs: number): void {
    state.usedAtMs = nowMs
    if (state.local === 0 && state.stream.head === 0 && !state.pinned) {
      this.#forget(state, nowMs)
      return
    }
    this.#count(state)
    const list = this.#listOf(state)
    if (list === null) state.place.list?.remove(state.place)
    else list.touch(state.place)
    this.#keepWithin()
  }

  /** Drops what has expired of a topic, and the topic itself once its position has. */
  tidy(state: TopicState<S>, nowMs: number): void {
    state.stream.expire(nowMs)
    this.#dropped(state)
    if (state.ids?.size === 0) state.ids = null
    if (state.local === 0 && !state.pinned && nowMs - state.usedAtMs >= POSITION_TTL_MS)
      this.#forget(state, nowMs)
  }

  #listOf({ stream, local, pinned }: TopicState<S>): Recency<TopicState<S>> | null {
    if (pinned) return null
    if (stream.size > 0) return local > 0 ? this.#followed : this.#unread
    return local > 0 ? null : this.#bare
  }

  #count({ stream, counted }: TopicState<S>): void {
    const streams = stream.head > 0 ? 1 : 0
    this.#streams += streams - counted.streams
    this.#messages += stream.size - counted.messages
    this.#bytes += stream.heldBytes - counted.bytes
    counted.streams = streams
    counted.messages = stream.size
    counted.bytes = stream.heldBytes
  }

  #keepWithin(): void {
    while (this.#bytes > this.#bounds.maxRetainedBytes) {
      const longestUnused = this.#unread.oldest ?? this.#followed.oldest
      if (longestUnused === null) return
      longestUnused.stream.dropOldest()
      this.#dropped(longestUnused)
    }
  }

  /** Publications went without a use: what is empty now stands at the old end. */
  #dropped(state: TopicState<S>): void {
    this.#count(state)
    const list = this.#listOf(state)
    if (state.place.list === list) return
    if (list === null) state.place.list?.remove(state.place)
    else list.retire(state.place)
  }

  /** From here on an old position of it means nothing: the epoch says so to whoever comes with it [L2]. */
  #forget(state: TopicState<S>, nowMs: number): void {
    this.#states.delete(state.topic)
    state.place.list?.remove(state.place)
    if (state.ids !== null) this.#ids.forget(state.ids, nowMs)
    this.#streams -= state.counted.streams
    this.#messages -= state.counted.messages
    this.#bytes -= state.counted.bytes
    if (state.stream.head > 0) this.#baseEpoch = this.#newEpoch()
    this.#parts.forgotten?.(state)
  }
}
