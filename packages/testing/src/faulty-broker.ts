import {
  RealtimeError,
  type Position,
  type Runtime,
  type Topic,
} from '@bmt-central/realtime-protocol'
import type {
  Accepted,
  Broker,
  BrokerContext,
  BrokerSink,
  BrokerStats,
  Draft,
  Maybe,
  Publication,
  PublishKey,
  ReadQuery,
  StreamPage,
  StreamPolicy,
} from '@bmt-central/realtime-server/broker'
import type { Chance } from './faults.js'

const SLOW_MS = 400

/** The real broker behind a bad line: calls take their time before and after, and some are refused. */
export class FaultyBroker implements Broker {
  readonly #inner: Broker
  readonly #runtime: Runtime
  readonly #chance: Chance
  readonly #appended: (publication: Publication) => void

  constructor(
    inner: Broker,
    parts: { runtime: Runtime; chance: Chance; appended: (publication: Publication) => void },
  ) {
    this.#inner = inner
    this.#runtime = parts.runtime
    this.#chance = parts.chance
    this.#appended = parts.appended
  }

  start(sink: BrokerSink, context: BrokerContext): Promise<{ windowEpoch: string }> {
    const publication = (appended: Publication): void => {
      this.#appended(appended)
      sink.publication(appended)
    }
    const heard: BrokerSink = {
      publication,
      lost: (topic) => sink.lost(topic),
      state: (state) => sink.state(state),
    }
    return this.#inner.start(heard, context)
  }

  publish(topic: Topic, draft: Draft, policy: StreamPolicy): Maybe<Accepted> {
    return this.#slowly(() => {
      if (this.#chance.hits('brokerError')) {
        const code = this.#chance.random() < 0.5 ? 'broker_unavailable' : 'publish_failed'
        throw new RealtimeError(code, 'the simulated broker refuses')
      }
      return this.#inner.publish(topic, draft, policy)
    })
  }

  accepted(topic: Topic, key: PublishKey): Maybe<Accepted | null> {
    return this.#slowly(() => this.#inner.accepted(topic, key))
  }

  follows(topic: Topic, from: string | null, after: string): Maybe<boolean> {
    return this.#slowly(() => this.#inner.follows(topic, from, after))
  }

  /** Told at once, since calls of one topic must not overtake each other; only the answer is late. */
  subscribers(
    topic: Topic,
    local: number,
    live?: number,
  ): Maybe<{ position: Position; total: number }> {
    if (local > 0 && this.#chance.hits('brokerError')) {
      throw new RealtimeError('broker_unavailable', 'the simulated broker refuses')
    }
    const told = this.#inner.subscribers(topic, local, live)
    return this.#chance.hits('slowBroker') ? this.#later(() => told) : told
  }

  read(topic: Topic, query: ReadQuery): Maybe<StreamPage> {
    return this.#slowly(() => this.#inner.read(topic, query))
  }

  stats(): BrokerStats {
    return this.#inner.stats()
  }

  close(): Promise<void> {
    return this.#inner.close()
  }

  #slowly<T>(call: () => Maybe<T>): Maybe<T> {
    const before = this.#chance.hits('slowBroker')
    const after = this.#chance.hits('slowBroker')
    if (!before && !after) return call()
    return this.#slowCall(call, before, after)
  }

  async #slowCall<T>(call: () => Maybe<T>, before: boolean, after: boolean): Promise<T> {
    const result = before ? await this.#later(call) : await call()
    return after ? this.#later(() => result) : result
  }

  #later<T>(call: () => Maybe<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#runtime.after(1 + this.#chance.below(SLOW_MS), () => {
        try {
          Promise.resolve(call()).then(resolve, reject)
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)))
        }
      })
    })
  }
}
