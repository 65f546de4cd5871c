import { Client, ConnectionLost } from './client.js'
import { KeyFinder, keyOf } from './key.js'
import type { Remembered, Restorer } from './restorer.js'
import { sleep } from './until.js'

const keys = new KeyFinder()

/** Between attempts of a client that was refused: a random time, as [C3] has it. */
const RETRY_LEAST_MS = 100
const RETRY_SPREAD_MS = 900

/** One client that comes back after its connection was lost, and must then have every message once. */
export class Returner {
  readonly #name: string
  readonly #token: string
  readonly #restorer: Restorer
  /** The number of the last message of each topic. */
  readonly #last: Map<number, number>
  readonly #remembered: Remembered
  #client: Client | null = null
  #fault: string | null = null
  #refusals = 0

  constructor(name: string, token: string, restorer: Restorer, topics: readonly number[]) {
    this.#name = name
    this.#token = token
    this.#restorer = restorer
    this.#last = new Map(topics.map((topic) => [topic, 0]))
    this.#remembered = {
      topics,
      last: this.#last,
      epochs: new Map(),
      take: (k) => {
        const { topic, number } = keyOf(k)
        this.#note(topic, number)
      },
    }
  }

  get isAway(): boolean {
    return this.#client === null
  }

  /** Attempts that the server did not take. */
  get refusals(): number {
    return this.#refusals
  }

  /** Throws where a message was lost, doubled or out of order. */
  check(): void {
    if (this.#fault !== null) throw new Error(this.#fault)
  }

  /** Whether it has everything up to these numbers, which are by topic. */
  has(numbers: readonly number[]): boolean {
    for (const [topic, last] of this.#last) if (last < (numbers[topic] ?? 0)) return false
    return true
  }

  /** Connects, again where it is refused, and restores its subscriptions. */
  async comeBack(port: number): Promise<void> {
    while (!(await this.#attempt(port))) {
      this.#refusals += 1
      await sleep(RETRY_LEAST_MS + Math.random() * RETRY_SPREAD_MS)
    }
  }

  leave(): void {
    this.#client?.close()
    this.#client = null
  }

  /** False where the connection was refused or lost on the way: a real client would try again, too. */
  async #attempt(port: number): Promise<boolean> {
    try {
      const client = await Client.connect(port, this.#restorer.dialect, this.#token, {
        onMessage: (buffer, start, end) => {
          const { topic, number } = keys.find(buffer, start, end)
          this.#note(topic, number)
        },
        onEnd: () => (this.#client = null),
      })
      this.#client = client
      await this.#restorer.restore(client, this.#remembered)
      return true
    } catch (error) {
      if (error instanceof ConnectionLost) return false
      throw error
    }
  }

  #note(topic: number, number: number): void {
    const due = (this.#last.get(topic) ?? 0) + 1
    if (number !== due) {
      this.#fault ??= `${this.#name}: message ${number} of topic ${topic} came where ${due} was due`
    }
    this.#last.set(topic, number)
  }
}
