import type { Contender } from '../servers/bench-server.js'
import { Client } from './client.js'
import { dialectOf, type Dialect } from './dialect.js'
import { KeyFinder } from './key.js'
import { tokenOf } from './token.js'

const CONNECTS_AT_ONCE = 200

/** What reads: subscribers that each check that every message comes once and in order. */
export class Audience {
  readonly dialect: Dialect
  readonly #port: number
  readonly #keys = new KeyFinder()
  readonly #clients: Client[] = []
  #received = 0
  #failure: Error | null = null
  /** Called for every message, for latencies. */
  onNumber: ((topic: number, number: number) => void) | null = null

  constructor(contender: Contender, port: number) {
    this.dialect = dialectOf(contender)
    this.#port = port
  }

  get received(): number {
    return this.#received
  }

  get bytesRead(): number {
    return this.#clients.reduce((sum, client) => sum + client.bytesRead, 0)
  }

  /** The first thing that went wrong. */
  check(): void {
    if (this.#failure !== null) throw this.#failure
  }

  /** A client that counts what it gets: each topic from number 1 on, by steps of 1. */
  async join(name: string): Promise<Client> {
    const last = new Map<number, number>()
    const client = await Client.connect(this.#port, this.dialect, tokenOf(name), {
      onMessage: (buffer, start, end) => {
        const { topic, number } = this.#keys.find(buffer, start, end)
        const expected = (last.get(topic) ?? 0) + 1
        if (number !== expected) {
          this.#fail(`${name}: message ${number} of topic ${topic} came where ${expected} was due`)
        }
        last.set(topic, number)
        this.#received += 1
        this.onNumber?.(topic, number)
      },
      onEnd: (why) => this.#fail(`the connection of ${name} ended: ${why}`),
    })
    this.#clients.push(client)
    return client
  }

  /** Many clients, each with its own subscriptions. */
  async joinAll(
    count: number,
    topicsOf: (index: number) => readonly string[],
    prefix = 'reader',
  ): Promise<void> {
    let next = 0
    const worker = async (): Promise<void> => {
      for (let index = next++; index < count; index = next++) {
        const client = await this.join(`${prefix}-${index}`)
        await this.subscribe(client, topicsOf(index))
        this.check()
      }
    }
    await Promise.all(Array.from({ length: Math.min(count, CONNECTS_AT_ONCE) }, worker))
  }

  async subscribe(client: Client, topics: readonly string[]): Promise<void> {
    for (let at = 0; at < topics.length; at += this.dialect.batch) {
      const some = topics.slice(at, at + this.dialect.batch)
      assertSuccess(await client.request((id) => this.dialect.subscribe(id, some)))
    }
  }

  close(): void {
    for (const client of this.#clients.splice(0)) client.close()
  }

  #fail(what: string): void {
    this.#failure ??= new Error(what)
  }
}

/** Throws where a request was refused, alone or within a batch. */
export function assertSuccess(ack: string): void {
  if (ack.includes('"status":"error"') || !ack.includes('"status":"success"')) {
    throw new Error(`refused: ${ack}`)
  }
}
