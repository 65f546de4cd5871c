import type { Client } from './client.js'
import type { Dialect } from './dialect.js'

export interface PublisherTopic {
  /** Its number, part of each message's key. */
  readonly index: number
  readonly name: string
}

/** Keeps a number of publications un-acknowledged, going round its topics. Nobody else publishes there. */
export class Publisher {
  readonly #client: Client
  readonly #dialect: Dialect
  readonly #topics: readonly PublisherTopic[]
  readonly #window: number
  readonly #sent: number[]
  #turn = 0
  #waiting = 0
  #acknowledged = 0
  #running = false
  #failure: Error | null = null

  constructor(
    client: Client,
    dialect: Dialect,
    topics: readonly PublisherTopic[],
    window: number,
    sent: readonly number[] = [],
  ) {
    this.#client = client
    this.#dialect = dialect
    this.#topics = topics
    this.#window = window
    this.#sent = topics.map((_, at) => sent[at] ?? 0)
  }

  /** The last number of each topic. */
  get numbers(): readonly number[] {
    return this.#sent
  }

  /** Publications of this object. */
  get sent(): number {
    return this.#acknowledged + this.#waiting
  }

  get acknowledged(): number {
    return this.#acknowledged
  }

  /** Whether all that was sent is acknowledged; throws where one was refused. */
  isSettled(): boolean {
    if (this.#failure !== null) throw this.#failure
    return this.#waiting === 0
  }

  start(): void {
    this.#running = true
    this.#client.together(() => {
      while (this.#waiting < this.#window) this.publish()
    })
  }

  stop(): void {
    this.#running = false
  }

  /** One message, whatever is waiting. Returns its number. */
  publish(): number {
    const at = this.#turn
    this.#turn = (at + 1) % this.#topics.length
    const topic = this.#topics[at]
    if (topic === undefined) throw new Error('a publisher without topics')
    const number = (this.#sent[at] ?? 0) + 1
    this.#sent[at] = number
    this.#waiting += 1
    this.#client.send(
      (id) => this.#dialect.publish(id, topic.name, number, topic.index),
      (text) => this.#onAck(text),
    )
    return number
  }

  #onAck(text: string): void {
    this.#waiting -= 1
    this.#acknowledged += 1
    if (!text.includes('"status":"success"')) this.#failure ??= new Error(`refused: ${text}`)
    if (this.#running) this.publish()
  }
}
