import type { Runtime, Topic } from '@bmt-central/realtime-protocol'
import { MemoryBroker } from '@bmt-central/realtime-server'
import type { BrokerContext, BrokerSink, Publication } from '@bmt-central/realtime-server/broker'
import { StoreClock } from './store-clock.js'

export interface StoreParts {
  /** A clock that outlives every process; default: that of the first one. */
  readonly runtime?: Runtime
  /** Sees whatever is committed, also where nobody lives to tell it. */
  readonly appended?: (publication: Publication) => void
}

/**
 * The directory of a durable broker: what was committed, with its epochs and accepted ids, however
 * many processes end meanwhile. One process at a time has it open.
 */
export class DurableStore {
  /** Everything that is committed, and nothing else. */
  readonly committed: MemoryBroker = new MemoryBroker()
  readonly #parts: StoreParts
  readonly #followed = new Set<Topic>()
  readonly #waiting: (() => void)[] = []
  #clock: StoreClock | null = null
  #made: Promise<{ windowEpoch: string }> | null = null
  #sink: BrokerSink | null = null
  #held = false

  constructor(parts: StoreParts = {}) {
    this.#parts = parts
  }

  /** Waits until the process that has it lets go. */
  async lock(): Promise<void> {
    if (this.#held) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    this.#held = true
  }

  /** By whoever holds it: from here on nothing is told to it. */
  unlock(): void {
    this.#sink = null
    this.#held = false
    this.#clock?.stop()
    this.#waiting.shift()?.()
  }

  /** By whoever holds it: what is committed from here on is told to `sink`. */
  open(sink: BrokerSink, context: BrokerContext): Promise<{ windowEpoch: string }> {
    this.#sink = sink
    const { runtime = context.runtime, appended } = this.#parts
    const forward: BrokerSink = {
      publication: (publication) => {
        appended?.(publication)
        this.#sink?.publication(publication)
      },
      lost: (topic) => this.#sink?.lost(topic),
      state: () => undefined,
    }
    this.#clock ??= new StoreClock(runtime)
    this.#clock.go()
    this.#made ??= this.committed.start(forward, { ...context, runtime: this.#clock })
    // Whoever subscribed to the process before is gone.
    for (const topic of this.#followed) this.committed.subscribers(topic, 0)
    this.#followed.clear()
    return this.#made
  }

  followed(topic: Topic): void {
    this.#followed.add(topic)
  }

  /** The process that has it is gone: nobody is told anything any more. */
  silence(): void {
    this.#sink = null
  }

  close(): Promise<void> {
    return this.committed.close()
  }
}
