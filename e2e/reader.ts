import type {
  Gap,
  ReceivedMessage,
  RealtimeClient,
  SubscribeOptions,
  Subscription,
  SubscriptionEvents,
} from '@bmt-central/realtime'
import { until, within } from './until.js'

/** One local subscription, and all that it was told, in order. */
export class Reader<T = unknown> {
  readonly subscription: Subscription<T>
  readonly messages: ReceivedMessage<T>[] = []
  readonly gaps: Gap[] = []
  readonly subscribed: SubscriptionEvents['subscribed'][] = []
  readonly errors: SubscriptionEvents['error'][] = []
  /** Gaps, `subscribed` and the seqs of messages as they came. */
  readonly log: (number | 'gap' | 'subscribed')[] = []
  /** Called with each message, after it was noted. */
  onMessage: (message: ReceivedMessage<T>) => void = () => undefined

  constructor(client: RealtimeClient, topic: string, options: SubscribeOptions = {}) {
    this.subscription = client.subscribe<T>(
      topic,
      (message) => {
        this.messages.push(message)
        this.log.push(message.seq)
        this.onMessage(message)
      },
      options,
    )
    this.subscription.on('gap', (gap) => {
      this.gaps.push(gap)
      this.log.push('gap')
    })
    this.subscription.on('subscribed', (event) => {
      this.subscribed.push(event)
      this.log.push('subscribed')
    })
    this.subscription.on('error', (error) => this.errors.push(error))
  }

  /** One that is live. */
  static async live<T = unknown>(
    client: RealtimeClient,
    topic: string,
    options: SubscribeOptions = {},
  ): Promise<Reader<T>> {
    const reader = new Reader<T>(client, topic, options)
    await within(reader.subscription.ready, `the subscription to ${topic}`)
    return reader
  }

  get seqs(): number[] {
    return this.messages.map(({ seq }) => seq)
  }

  get payloads(): T[] {
    return this.messages.map(({ payload }) => payload)
  }

  /** Resolves when at least so many messages have come. */
  async received(count: number): Promise<void> {
    await until(
      () => this.messages.length >= count,
      `${count} messages of ${this.subscription.topic}`,
      () => ({ received: this.messages.length, gaps: this.gaps, state: this.subscription.state }),
    )
  }

  /** Resolves when a message with this `seq`, or a later one, has come. */
  async reached(seq: number): Promise<void> {
    await until(
      () => (this.messages.at(-1)?.seq ?? 0) >= seq,
      `message ${seq} of ${this.subscription.topic}`,
      () => ({ last: this.messages.at(-1)?.seq, gaps: this.gaps, state: this.subscription.state }),
    )
  }
}

/** The whole numbers from `first` to `last`: the seqs of a stream, none missing and none twice. */
export function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index)
}
