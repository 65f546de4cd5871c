import type { Logger, Topic } from '@bmt-central/realtime-protocol'
import type { Publication } from '../publication.js'
import { NOWHERE, type Accepted, type BrokerSink, type Draft } from './broker.js'

/** Tells a sink of publications one by one: what comes up meanwhile waits until it is over [P1]. */
export class Announcements {
  readonly #sink: BrokerSink
  readonly #logger: Logger
  readonly #waiting: Publication[] = []
  #announcing = false

  constructor({ sink, logger }: { readonly sink: BrokerSink; readonly logger: Logger }) {
    this.#sink = sink
    this.#logger = logger
  }

  announce(publication: Publication): void {
    this.#waiting.push(publication)
    if (this.#announcing) return
    this.#announcing = true
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      try {
        this.#sink.publication(next)
      } catch (error) {
        // It is retained already, so its publisher must not hear that it failed.
        const { topic, seq } = next
        this.#logger.error('an announcement failed', { topic, seq, error: String(error) })
      }
    }
    this.#announcing = false
  }

  /** Announced and forgotten [P11]. */
  pass(
    topic: Topic,
    { id, from, payloadJson, payloadBytes }: Draft,
    facts: { readonly timestamp: number; readonly deliveredTo: number },
  ): Accepted {
    const { timestamp, deliveredTo } = facts
    this.announce({ topic, id, from, ...NOWHERE, payloadJson, payloadBytes, timestamp })
    return { ...NOWHERE, timestamp, duplicate: false, deliveredTo }
  }
}
