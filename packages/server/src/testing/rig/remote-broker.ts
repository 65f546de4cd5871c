import type { Topic } from '@bmt-central/realtime-protocol'
import { seededRandom } from '@bmt-central/realtime-protocol/testing'
import type {
  Accepted,
  Broker,
  BrokerContext,
  BrokerSink,
  BrokerStats,
  Draft,
  PublishKey,
  ReadQuery,
  StreamPage,
  StreamPolicy,
} from '../../broker/broker.js'
import { MemoryBroker } from '../../broker/memory-broker.js'

/**
 * The memory broker behind three wires, as a broker elsewhere is: questions go in order, answers come
 * in order, announcements come in order, and each wire takes its own time: so that a publication may
 * be acknowledged, read or announced in any order of the three. Same seed, same world.
 */
export class RemoteBroker implements Broker {
  readonly #inner = new MemoryBroker()
  readonly #random: () => number
  readonly #questions = new SlowWire(() => this.#random())
  readonly #answers = new SlowWire(() => this.#random())
  readonly #announcements = new SlowWire(() => this.#random())

  constructor(seed: number) {
    this.#random = seededRandom(seed)
  }

  start(sink: BrokerSink, context: BrokerContext): Promise<{ windowEpoch: string }> {
    const publication: BrokerSink['publication'] = (announced) => {
      this.#announcements.carry(() => sink.publication(announced))
    }
    return this.#inner.start({ ...sink, publication }, context)
  }

  publish(topic: Topic, draft: Draft, policy: StreamPolicy): Promise<Accepted> {
    return this.#ask(() => this.#inner.publish(topic, draft, policy))
  }

  accepted(topic: Topic, key: PublishKey): Promise<Accepted | null> {
    return this.#ask(() => this.#inner.accepted(topic, key))
  }

  follows(topic: Topic, from: string | null, after: string): Promise<boolean> {
    return this.#ask(() => this.#inner.follows(topic, from, after))
  }

  subscribers(topic: Topic, local: number, live?: number): ReturnType<Broker['subscribers']> {
    return this.#ask(() => this.#inner.subscribers(topic, local, live))
  }

  read(topic: Topic, query: ReadQuery): Promise<StreamPage> {
    return this.#ask(() => this.#inner.read(topic, query))
  }

  stats(): BrokerStats {
    return this.#inner.stats()
  }

  close(): Promise<void> {
    return this.#inner.close()
  }

  #ask<T>(run: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#questions.carry(() => {
        try {
          const answer = run()
          this.#answers.carry(() => resolve(answer))
        } catch (error) {
          this.#answers.carry(() => reject(error instanceof Error ? error : new Error('thrown')))
        }
      })
    })
  }
}

/** Carries things in order, now quickly, now only after some turns of the event loop. */
class SlowWire {
  readonly #random: () => number
  readonly #queue: (() => void)[] = []
  #running = false

  constructor(random: () => number) {
    this.#random = random
  }

  carry(run: () => void): void {
    this.#queue.push(run)
    if (!this.#running) this.#later()
  }

  #later(): void {
    this.#running = true
    const turns = Math.floor(this.#random() * 4)
    const wait = (left: number): void => {
      if (left > 0) setImmediate(() => wait(left - 1))
      else queueMicrotask(() => this.#deliver())
    }
    wait(turns)
  }

  #deliver(): void {
    const batch = 1 + Math.floor(this.#random() * 3)
    for (const run of this.#queue.splice(0, batch)) run()
    if (this.#queue.length > 0) this.#later()
    else this.#running = false
  }
}
