import type { Topic } from '@bmt-central/realtime-protocol'
import type {
  Accepted,
  Broker,
  BrokerContext,
  BrokerSink,
  BrokerStats,
  Draft,
  Maybe,
  PublishKey,
  ReadQuery,
  StreamPage,
  StreamPolicy,
} from '../../broker/broker.js'
import { MemoryBroker } from '../../broker/memory-broker.js'
import type { Publication } from '../../publication.js'

/** What can be held: a question before it is looked at, its answer, or an announcement. */
export type Gate =
  | 'publish'
  | 'publish-answer'
  | 'accepted'
  | 'follows'
  | 'subscribers'
  | 'subscribers-answer'
  | 'read'
  | 'read-answer'
  | 'announcement'

interface Held {
  readonly go: () => void
  readonly fail: (error: Error) => void
}

/** The memory broker, whose questions, answers and announcements wait where a test says so. */
export class GatedBroker implements Broker {
  readonly inner = new MemoryBroker()
  sink: BrokerSink | null = null
  readonly #held = new Map<Gate, Held[]>()
  #wake: () => void = () => undefined

  /** From now on these wait. */
  hold(...gates: Gate[]): void {
    for (const gate of gates) if (!this.#held.has(gate)) this.#held.set(gate, [])
  }

  /** How many wait. */
  waiting(gate: Gate): number {
    return this.#held.get(gate)?.length ?? 0
  }

  /** Resolves when so many wait; the runner's limit is the limit. */
  async reached(gate: Gate, count: number = 1): Promise<void> {
    while (this.waiting(gate) < count) {
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }

  /** Lets the one that has waited longest go on, or fail. */
  next(gate: Gate, error?: Error): void {
    const held = this.#held.get(gate)?.shift()
    if (error === undefined) held?.go()
    else held?.fail(error)
  }

  /** Lets all go on, and holds no more of them. */
  release(...gates: Gate[]): void {
    for (const gate of gates) {
      const held = this.#held.get(gate) ?? []
      this.#held.delete(gate)
      for (const one of held) one.go()
    }
  }

  start(sink: BrokerSink, context: BrokerContext): Promise<{ windowEpoch: string }> {
    this.sink = sink
    const publication = (announced: Publication): void => {
      const held = this.#held.get('announcement')
      if (held === undefined) return sink.publication(announced)
      // Failing: it is lost.
      held.push({ go: () => sink.publication(announced), fail: () => undefined })
      return this.#wake()
    }
    return this.inner.start({ ...sink, publication }, context)
  }

  publish(topic: Topic, draft: Draft, policy: StreamPolicy): Maybe<Accepted> {
    return this.#ask('publish', () => this.inner.publish(topic, draft, policy), 'publish-answer')
  }

  accepted(topic: Topic, key: PublishKey): Maybe<Accepted | null> {
    return this.#ask('accepted', () => this.inner.accepted(topic, key))
  }

  follows(topic: Topic, from: string | null, after: string): Maybe<boolean> {
    return this.#ask('follows', () => this.inner.follows(topic, from, after))
  }

  subscribers(topic: Topic, local: number, live?: number): ReturnType<Broker['subscribers']> {
    const tell = () => this.inner.subscribers(topic, local, live)
    return this.#ask('subscribers', tell, 'subscribers-answer')
  }

  read(topic: Topic, query: ReadQuery): Maybe<StreamPage> {
    return this.#ask('read', () => this.inner.read(topic, query), 'read-answer')
  }

  stats(): BrokerStats {
    return this.inner.stats()
  }

  close(): Promise<void> {
    return this.inner.close()
  }

  #ask<T>(question: Gate, run: () => T, answer?: Gate): Maybe<T> {
    const asked = this.#held.has(question) ? this.#wait(question).then(run) : run()
    if (answer === undefined || !this.#held.has(answer)) return asked
    return Promise.resolve(asked).then((result) => this.#wait(answer).then(() => result))
  }

  #wait(gate: Gate): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#held.get(gate)?.push({ go: resolve, fail: reject })
      this.#wake()
    })
  }
}
