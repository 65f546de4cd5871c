import {
  Listeners,
  RealtimeError,
  type Cancel,
  type EventMessage,
  type Gap,
  type Position,
} from '@bmt-central/realtime-protocol'
import { MessageBuffer } from './message-buffer.js'
import { placeMessage, positionOf } from './placement.js'

/** A publication as listeners get it. */
export interface ReceivedMessage<T = unknown> extends EventMessage<T> {
  /** Published by this client object, so that a page need not show it twice. */
  own: boolean
}

export type MessageListener<T = unknown> = (message: ReceivedMessage<T>) => void

export type SubscriptionState = 'subscribing' | 'subscribed' | 'unsubscribed' | 'failed'

/** What `Subscription.on` tells. */
export interface SubscriptionEvents {
  /** It is live, for the first time or again after a loss of the connection. */
  subscribed: {
    /** Nothing is missing since its last position; false where it had none. */
    readonly recovered: boolean
    readonly position: Position
    /** Messages from the past that were delivered before it went live. */
    readonly replayed: number
  }
  /** Publications are missing for good [P3]; told before the next message. */
  gap: Gap
  /** A final refusal (the state is `failed` then), or a listener that threw (`cause`). */
  error: RealtimeError
  state: SubscriptionState
}

export interface SubscribeOptions {
  /** Begin with the last so many retained publications. Looked at only without `since`. */
  readonly rewind?: number
  /** Begin after this position: what came later and is retained is delivered first. */
  readonly since?: Position
  /** Whether an iteration goes on at a gap (default) or throws `position_lost`. */
  readonly onGap?: 'continue' | 'throw'
  /** Unsubscribes when it aborts. */
  readonly signal?: AbortSignal
}

/** One local interest in a topic. Many of them share one subscription on the wire. */
export interface Subscription<T = unknown> extends AsyncIterable<ReceivedMessage<T>>, Disposable {
  /** As it was subscribed. */
  readonly topic: string
  readonly state: SubscriptionState
  /** Up to where everything has been delivered; null before it is known. */
  readonly position: Position | null
  /** Resolves when it is live for the first time [P9]; rejects with the error that ended it before. */
  readonly ready: Promise<void>
  on<Name extends keyof SubscriptionEvents>(
    event: Name,
    listener: (event: SubscriptionEvents[Name]) => void,
  ): Cancel
  /** Idempotent. The last local one of a topic leaves the channel. */
  unsubscribe(): void
  /**
   * Messages from now on; where there is no listener, from the beginning on, and leaving the loop
   * unsubscribes. At most 1,000 messages or 8 MiB wait, then it throws `slow_consumer`.
   */
  [Symbol.asyncIterator](): AsyncGenerator<ReceivedMessage<T>, void, undefined>
}

interface Events extends SubscriptionEvents {
  message: ReceivedMessage
}

export interface LocalSubscriptionParts {
  readonly topic: string
  readonly listener: MessageListener | undefined
  readonly options: SubscribeOptions
  /** A listener threw. */
  readonly faulty: (error: unknown, event: string) => void
  /** It is not interested any more. */
  readonly left: () => void
}

export class LocalSubscription implements Subscription {
  readonly topic: string
  readonly ready: Promise<void>
  position: Position | null = null
  readonly #parts: LocalSubscriptionParts
  readonly #listeners: Listeners<Events>
  readonly #buffers = new Set<MessageBuffer<ReceivedMessage>>()
  /** Collects from the beginning where iterating is the only way to get messages. */
  #early: MessageBuffer<ReceivedMessage> | null = null
  #settleReady: (error: RealtimeError | null) => void = () => undefined
  #state: SubscriptionState = 'subscribing'
  #failure: RealtimeError | null = null

  constructor(parts: LocalSubscriptionParts) {
    this.#parts = parts
    this.topic = parts.topic
    this.#listeners = new Listeners((error, event) => this.#faulty(error, event))
    if (parts.listener === undefined) this.#early = this.#newBuffer()
    else this.#listeners.on('message', parts.listener)
    this.ready = new Promise((resolve, reject) => {
      this.#settleReady = (error) => (error === null ? resolve() : reject(error))
    })
    // Who does not ask for it has `on('error')`.
    this.ready.catch(() => undefined)
    parts.options.signal?.addEventListener('abort', this.unsubscribe)
  }

  get state(): SubscriptionState {
    return this.#state
  }

  get active(): boolean {
    return this.#state === 'subscribing' || this.#state === 'subscribed'
  }

  on<Name extends keyof SubscriptionEvents>(
    event: Name,
    listener: (event: SubscriptionEvents[Name]) => void,
  ): Cancel {
    return this.#listeners.on(event, listener as (event: Events[Name]) => void)
  }

  readonly unsubscribe = (): void => {
    if (!this.active) return
    this.#finish('unsubscribed', null)
    this.#parts.left()
  };

  [Symbol.dispose](): void {
    this.unsubscribe()
  }

  [Symbol.asyncIterator](): AsyncGenerator<ReceivedMessage, void, undefined> {
    const buffer = this.#early ?? this.#newBuffer()
    this.#early = null
    if (!this.active) buffer.end(this.#failure)
    return buffer.messages(() => {
      this.#buffers.delete(buffer)
      if (this.#parts.listener === undefined && this.#buffers.size === 0) this.unsubscribe()
    })
  }

  /** The position moves first: whatever the listener does, it never gets this one again [P2]. */
  deliver(message: EventMessage, own: boolean): void {
    if (!this.active || placeMessage(this.position, message) === 'duplicate') return
    this.position = positionOf(message)
    const received = { ...message, topic: this.topic, own }
    for (const buffer of this.#buffers) buffer.push(received)
    this.#listeners.emit('message', received)
  }

  lose(gap: Gap): void {
    if (!this.active) return
    this.position = { epoch: gap.epoch, seq: gap.to ?? 0 }
    if (this.#parts.options.onGap === 'throw') {
      const details = { gap }
      const error = new RealtimeError('position_lost', `messages of ${this.topic} are missing`, {
        details,
      })
      for (const buffer of this.#buffers) buffer.end(error)
    }
    this.#listeners.emit('gap', gap)
  }

  /** It is live from `position` on. */
  settle(position: Position, outcome: { recovered: boolean; replayed: number }): void {
    if (!this.active) return
    this.position = position
    this.#setState('subscribed')
    this.#settleReady(null)
    this.#listeners.emit('subscribed', { ...outcome, position })
  }

  /** It is not live any more, and will be again. */
  suspend(): void {
    if (this.#state === 'subscribed') this.#setState('subscribing')
  }

  fail(error: RealtimeError): void {
    if (!this.active) return
    this.#finish('failed', error)
    this.#listeners.emit('error', error)
  }

  get buffered(): number {
    let size = 0
    for (const buffer of this.#buffers) size += buffer.size
    return size
  }

  #finish(state: 'unsubscribed' | 'failed', error: RealtimeError | null): void {
    this.#parts.options.signal?.removeEventListener('abort', this.unsubscribe)
    this.#failure = error
    this.#setState(state)
    this.#settleReady(error ?? new RealtimeError('aborted', `${this.topic} was unsubscribed`))
    for (const buffer of this.#buffers) {
      if (error === null) buffer.clear()
      buffer.end(error)
    }
    this.#buffers.clear()
  }

  #setState(state: SubscriptionState): void {
    if (state === this.#state) return
    this.#state = state
    this.#listeners.emit('state', state)
  }

  #newBuffer(): MessageBuffer<ReceivedMessage> {
    const buffer = new MessageBuffer<ReceivedMessage>()
    this.#buffers.add(buffer)
    return buffer
  }

  #faulty(error: unknown, event: string): void {
    this.#parts.faulty(error, event)
    if (event === 'error') return
    const message = `a listener of ${this.topic} threw`
    this.#listeners.emit('error', new RealtimeError('internal_error', message, { cause: error }))
  }
}

/** @throws RealtimeError `invalid_options`, naming the option and its value */
export function checkSubscribeOptions({ rewind, since, onGap }: SubscribeOptions): void {
  const refuse = (name: string, value: unknown, expected: string): never => {
    const message = `${name} must be ${expected}, got ${JSON.stringify(value)}`
    throw new RealtimeError('invalid_options', message)
  }
  if (rewind !== undefined && !isCount(rewind)) refuse('rewind', rewind, 'a whole number')
  const known = since === undefined || (typeof since.epoch === 'string' && isCount(since.seq))
  if (!known) refuse('since', since, 'a position { epoch, seq }')
  if (onGap !== undefined && onGap !== 'continue' && onGap !== 'throw') {
    refuse('onGap', onGap, 'continue or throw')
  }
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0
}
