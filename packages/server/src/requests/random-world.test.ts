import { seededRandom } from '@bmt-central/realtime-protocol/testing'
import { expect, test } from 'vitest'
import type { Fields, PlainClient } from '../testing/rig/plain-client.js'
import { RemoteBroker } from '../testing/rig/remote-broker.js'
import { TestServer } from '../testing/rig/test-server.js'

const TOPICS = ['a', 'b']
const OPERATIONS = 120

/**
 * What a reader of one topic has been told, read strictly: from an answer on every message must be
 * the next one. It throws at the first hole, double or message that it should not have got.
 */
class Reader {
  #epoch = ''
  #seq = 0
  #live = false
  count = 0

  get position(): { epoch: string; seq: number } {
    return { epoch: this.#epoch, seq: this.#seq }
  }

  answer(answer: Fields): void {
    const { epoch, seq, messages, more, gap } = answer as {
      epoch: string
      seq: number
      messages: { seq: number }[]
      more: boolean
      gap?: object
    }
    if (gap !== undefined) throw new Error(`a gap: ${JSON.stringify(gap)}`)
    const seqs = messages.map((message) => message.seq)
    for (const [index, next] of seqs.entries()) {
      if (index > 0 && next !== (seqs[index - 1] ?? 0) + 1) throw new Error(`a page ${seqs.join()}`)
    }
    if (seqs.length > 0 && seqs.at(-1) !== seq) throw new Error(`seq ${seq} after ${seqs.join()}`)
    this.#epoch = epoch
    this.#seq = seq
    this.#live = !more
    this.count += seqs.length
  }

  message({ epoch, seq }: Fields): void {
    if (!this.#live) throw new Error(`message ${String(seq)} while not live`)
    if (epoch !== this.#epoch || seq !== this.#seq + 1) {
      throw new Error(`message ${String(seq)} after ${this.#seq}`)
    }
    this.#seq += 1
    this.count += 1
  }

  left(): void {
    this.#live = false
  }
}

/** One client that does what chance says, and checks everything that it hears, in order. */
class Wanderer {
  readonly faults: string[] = []
  readonly readers = new Map<string, Reader>()
  readonly client: PlainClient
  /** Requests that wait for their answer. */
  unanswered = 0
  readonly #random: () => number
  #published = 0

  constructor(client: PlainClient, random: () => number) {
    this.client = client
    this.#random = random
    client.socket.on('message', (message: Fields) =>
      this.#check(() => this.readers.get(String(message['topic']))?.message(message)),
    )
  }

  act(): void {
    const choice = this.#random()
    const topic = TOPICS[Math.floor(this.#random() * TOPICS.length)] ?? 'a'
    if (choice < 0.55) {
      this.#ask('publish', { topic, payload: (this.#published += 1) }, (ack) => {
        if (ack['status'] !== 'success') throw new Error(`publish: ${JSON.stringify(ack)}`)
      })
    } else if (choice < 0.65) {
      // Until the answer there may be messages of the old subscription, none after it.
      this.#ask('unsubscribe', { topic }, () => this.readers.get(topic)?.left())
    } else if (choice < 0.9) this.#subscribe([topic])
    else this.#subscribe(TOPICS)
  }

  #subscribe(topics: readonly string[]): void {
    const items = topics.map((topic) => {
      const known = this.readers.get(topic)
      const since = known !== undefined && known.position.epoch !== '' && this.#random() < 0.7
      return since ? { topic, since: known.position } : { topic }
    })
    this.#ask('subscribe', { topics: items }, ({ results }) => {
      for (const result of results as Fields[]) {
        const topic = String(result['topic'])
        const reader = this.readers.get(topic) ?? new Reader()
        this.readers.set(topic, reader)
        reader.answer(result)
        if (result['more'] === true) this.#subscribe([topic])
      }
    })
  }

  #ask(event: string, data: object, answered: (ack: Fields) => void): void {
    this.unanswered += 1
    this.client.socket.emit(event, data, (ack: Fields) => {
      this.unanswered -= 1
      this.#check(() => answered(ack))
    })
  }

  #check(run: () => void): void {
    try {
      run()
    } catch (error) {
      this.faults.push(String(error))
    }
  }
}

const SEEDS = Array.from({ length: 25 }, (_, index) => index + 1)

test.each(SEEDS)(
  '[P1][P2][P5][P9] nobody misses, doubles or disorders anything with a broker elsewhere (seed %i)',
  async (seed) => {
    const random = seededRandom(seed)
    await using server = await TestServer.start({
      broker: new RemoteBroker(seed),
      limits: { maxPageMessages: 3 },
    })
    const wanderers = await Promise.all(
      ['ann', 'bob', 'eve'].map(
        async (userId) => new Wanderer(await server.connect({ userId }), random),
      ),
    )
    for (let step = 0; step < OPERATIONS; step += 1) {
      for (const wanderer of wanderers) if (random() < 0.5) wanderer.act()
      if (random() < 0.6) await new Promise(setImmediate)
    }
    // At the end everybody reads on until nothing is missing.
    for (const { client } of wanderers) await client.caughtUp()
    const heads = await Promise.all(TOPICS.map(async (topic) => settled(server, topic)))
    for (const wanderer of wanderers) {
      for (const [index, topic] of TOPICS.entries()) {
        await readOn(wanderer, topic)
        expect(wanderer.readers.get(topic)?.position.seq).toBe(heads[index])
      }
      expect([wanderer.faults, wanderer.unanswered]).toEqual([[], 0])
    }
    expect(heads.every((head) => head > 10)).toBe(true)
  },
)

/** The head of a topic once nothing changes it any more. */
async function settled(server: TestServer, topic: string): Promise<number> {
  for (;;) {
    const { bounds } = server.service.getStats()
    if (bounds['requestsInProgress']?.used === 0) return (await server.service.history(topic)).seq
    await new Promise(setImmediate)
  }
}

async function readOn({ client, readers }: Wanderer, topic: string): Promise<void> {
  const reader = readers.get(topic) ?? new Reader()
  readers.set(topic, reader)
  for (;;) {
    await client.caughtUp()
    const { position } = reader
    const answer = await client.subscribe(topic, position.epoch === '' ? {} : { since: position })
    reader.answer(answer)
    if (answer['more'] === false) return
  }
}
