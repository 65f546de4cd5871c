import { RealtimeError } from '@bmt-central/realtime-protocol'
import type { Accepted, Maybe } from '../broker/broker.js'
import { TopicQueue } from '../hub/topic-queue.js'
import { errorOf } from '../thrown.js'
import type { RequestContext } from './context.js'
import type { PublishOrder } from './once.js'
import { prepareForServer } from './publish.js'

/** What may wait for a slow schema or broker: payloads, and what a publish takes besides. */
const MAX_WAITING_BYTES = 64 * 1_024 * 1_024
const PUBLISH_OVERHEAD_BYTES = 512

/** The server's own publishes: carried out in call order for each topic, like a client's [P1]. */
export class OwnPublishes {
  readonly #context: RequestContext
  readonly #queue = new TopicQueue()
  #waitingBytes = 0

  constructor(context: RequestContext) {
    this.#context = context
  }

  get waitingBytes(): { used: number; cap: number } {
    return { used: this.#waitingBytes, cap: MAX_WAITING_BYTES }
  }

  /**
   * Takes a copy of the payload at once; what the caller changes later is not published. `started`
   * resolves when the broker can be asked.
   */
  async publish(order: PublishOrder, started: () => Promise<void>): Promise<Accepted> {
    const { bytes, run } = prepareForServer(this.#context, order)
    const cost = bytes + PUBLISH_OVERHEAD_BYTES
    if (this.#waitingBytes + cost > MAX_WAITING_BYTES) {
      throw new RealtimeError(
        'broker_unavailable',
        `${this.#waitingBytes} bytes of the server's own publishes wait already`,
      )
    }
    this.#waitingBytes += cost
    try {
      await started()
      return await this.#inOrder(order.topic, run)
    } finally {
      this.#waitingBytes -= cost
    }
  }

  #inOrder(topic: string, run: () => Maybe<Accepted>): Promise<Accepted> {
    return new Promise((resolve, reject) => {
      this.#queue.add([topic], () => {
        try {
          const result = run()
          return result instanceof Promise ? result.then(resolve, reject) : resolve(result)
        } catch (error) {
          return reject(errorOf(error))
        }
      })
    })
  }
}
