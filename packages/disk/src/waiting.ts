import { RealtimeError, type Topic } from '@bmt-central/realtime-protocol'
import {
  publishName,
  type Accepted,
  type Draft,
  type StreamPolicy,
} from '@bmt-central/realtime-server/broker'

/** One publish on its way to the disk. */
export interface Append {
  readonly topic: Topic
  readonly draft: Draft
  readonly policy: StreamPolicy
}

export interface Waiting extends Append {
  readonly name: string
  readonly result: Promise<Accepted>
  readonly resolve: (accepted: Accepted) => void
  readonly reject: (error: unknown) => void
}

/** What waits for a transaction, at most; past that a publish is refused. */
const MAX_WAITING = 10_000
const MAX_WAITING_BYTES = 64 * 1_024 * 1_024
/** Appends and payload bytes of one transaction. */
const MAX_COMMIT = 2_000
const MAX_COMMIT_BYTES = 8 * 1_024 * 1_024

/** Publishes that wait for a transaction, and all that have no result yet, by their name [P4]. */
export class WaitingAppends {
  #queue: Waiting[] = []
  #queuedBytes = 0
  readonly #unsettled = new Map<string, Waiting>()

  /** Those that are in no transaction yet. */
  get length(): number {
    return this.#queue.length
  }

  /** For the statistics. */
  get bounds(): Record<'waitingAppends' | 'waitingAppendBytes', { used: number; cap: number }> {
    return {
      waitingAppends: { used: this.#queue.length, cap: MAX_WAITING },
      waitingAppendBytes: { used: this.#queuedBytes, cap: MAX_WAITING_BYTES },
    }
  }

  get(name: string): Waiting | undefined {
    return this.#unsettled.get(name)
  }

  /** @throws RealtimeError `broker_unavailable` where too much waits */
  add(append: Append): Promise<Accepted> {
    if (this.#queue.length >= MAX_WAITING || this.#queuedBytes >= MAX_WAITING_BYTES) {
      throw new RealtimeError('broker_unavailable', 'the disk is behind: too much waits for it')
    }
    const { topic, draft } = append
    const name = publishName(topic, draft.from, draft.id)
    let resolve: Waiting['resolve'] = () => undefined
    let reject: Waiting['reject'] = () => undefined
    const result = new Promise<Accepted>((yes, no) => {
      resolve = yes
      reject = no
    })
    const waiting = { ...append, name, result, resolve, reject }
    this.#unsettled.set(name, waiting)
    this.#queue.push(waiting)
    this.#queuedBytes += draft.payloadBytes
    return result
  }

  /** What the next transaction takes. */
  take(): Waiting[] {
    let [count, bytes] = [0, 0]
    for (const { draft } of this.#queue) {
      if (count >= MAX_COMMIT || (count > 0 && bytes + draft.payloadBytes > MAX_COMMIT_BYTES)) break
      count += 1
      bytes += draft.payloadBytes
    }
    this.#queuedBytes -= bytes
    return this.#queue.splice(0, count)
  }

  /** To be called right before it is resolved or rejected. */
  settled(waiting: Waiting): void {
    this.#unsettled.delete(waiting.name)
  }

  /** Refuses all that is in no transaction yet. */
  refuse(error: RealtimeError): void {
    const refused = this.#queue
    this.#queue = []
    this.#queuedBytes = 0
    for (const waiting of refused) {
      this.settled(waiting)
      waiting.reject(error)
    }
  }
}
