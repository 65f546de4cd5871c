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
/** One slow call in so many is slower than a reconnect: resends meet the first one in progress. */
const VERY_SLOW = 5
const VERY_SLOW_MS = 4_000

/** The real broker behind a bad line: calls take their time before and after, and some are refused. */
export class FaultyBroker implements Broker {
  readonly #inner: Broker
  readonly #runtime: Runtime
  readonly #chance: Chance
  readonly #appended: ((publication: Publication) => void) | undefined
  /** Publishes that have not been answered yet, by message id. */
  readonly #inProgress = new Set<string>()

  /** `appended`: where what is announced is the first that is to be known of it. */
  constructor(
    inner: Broker,
    parts: { runtime: Runtime; chance: Chance; appended?: (publication: Publication) => void },
  ) {
    this.#inner = inner
    this.#runtime = parts.runtime
    this.#chance = parts.chance
    this.#appended = parts.appended
  }

  inProgress(id: string): boolean {
    return this.#inProgress.has(id)
  }

  start(sink: BrokerSink, context: BrokerContext): Promise<{ windowEpoch: string }> {
    const publication = (appended: Publication): void => {
      this.#appended?.(appended)
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
    const accepted = this.#slowly(() => {
      this.#refuse(this.#chance.random() < 0.5 ? 'broker_unavailable' : 'publish_failed')
      return this.#inner.publish(topic, draft, policy)
    })
    if (!(accepted instanceof Promise)) return accepted
    this.#inProgress.add(draft.id)
    return accepted.finally(() => this.#inProgress.delete(draft.id))
  }

  accepted(topic: Topic, key: PublishKey): Maybe<Accepted | null> {
    return this.#slowly(() => {
      this.#refuse('broker_unavailable')
      return this.#inner.accepted(topic, key)
    })
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
    if (local > 0) this.#refuse('broker_unavailable')
    const told = this.#inner.subscribers(topic, local, live)
    return this.#chance.strikes('slowBroker') ? this.#later(() => told) : told
  }

  read(topic: Topic, query: ReadQuery): Maybe<StreamPage> {
    return this.#slowly(() => {
      this.#refuse('broker_unavailable')
      return this.#inner.read(topic, query)
    })
  }

  stats(): BrokerStats {
    return this.#inner.stats()
  }

  close(): Promise<void> {
    return this.#inner.close()
  }

  #refuse(code: 'broker_unavailable' | 'publish_failed'): void {
    if (this.#chance.strikes('brokerError')) {
      throw new RealtimeError(code, 'the simulated broker refuses')
    }
  }

  #slowly<T>(call: () => Maybe<T>): Maybe<T> {
    const before = this.#chance.strikes('slowBroker')
    const after = this.#chance.strikes('slowBroker')
    if (!before && !after) return call()
    return this.#slowCall(call, before, after)
  }

  async #slowCall<T>(call: () => Maybe<T>, before: boolean, after: boolean): Promise<T> {
    const result = before ? await this.#later(call) : await call()
    return after ? this.#later(() => result) : result
  }

  #later<T>(call: () => Maybe<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const worstMs = this.#chance.below(VERY_SLOW) === 0 ? VERY_SLOW_MS : SLOW_MS
      this.#runtime.after(1 + this.#chance.below(worstMs), () => {
        try {
          Promise.resolve(call()).then(resolve, reject)
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)))
        }
      })
    })
  }
}
