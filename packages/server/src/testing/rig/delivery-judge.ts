import type { Fields } from './plain-client.js'

/** How a topic's messages are told apart. */
export type TopicKind = 'recoverable' | 'latest' | 'ephemeral'

interface Message extends Fields {
  readonly topic: string
  readonly id: string
  readonly seq: number
  readonly epoch: string
  readonly skipped?: number
  readonly payload: NumberedPayload
}

/** What the fuzzing publishes: who, as which of its own to the topic, and text that may be spoiled. */
export interface NumberedPayload {
  readonly by: string
  readonly n: number
  readonly letter: string
  readonly times: number
  readonly text: string
}

interface Answer extends Fields {
  readonly topic: string
  readonly seq: number
  readonly epoch: string
  readonly messages: readonly Message[]
  readonly more: boolean
  readonly gap?: object
}

/** What one connection knows of one topic. */
interface Known {
  state: 'out' | 'paging' | 'live'
  epoch: string
  seq: number
  /** Of an ephemeral topic, which has no positions: the last of each publisher. */
  readonly lastOf: Map<string, number>
}

/**
 * Judges what one connection hears, in the order in which it hears it. From the answer to its subscribe
 * on every message of a topic must be the next one, until the answer to its unsubscribe; everything
 * else is a fault.
 */
export class DeliveryJudge {
  readonly faults: string[] = []
  heard = 0
  readonly #topics = new Map<string, Known>()
  readonly #kindOf: (topic: string) => TopicKind
  #closing = false

  constructor(kindOf: (topic: string) => TopicKind) {
    this.#kindOf = kindOf
  }

  /** Topics whose messages must arrive, and up to where they have. */
  get live(): { topic: string; seq: number }[] {
    return Array.from(this.#topics)
      .filter(([topic, { state }]) => state === 'live' && this.#kindOf(topic) !== 'ephemeral')
      .map(([topic, { seq }]) => ({ topic, seq }))
  }

  positionOf(topic: string): { epoch: string; seq: number } | null {
    const known = this.#topics.get(topic)
    return known === undefined || known.epoch === '' ? null : { epoch: known.epoch, seq: known.seq }
  }

  isPaging(topic: string): boolean {
    return this.#topics.get(topic)?.state === 'paging'
  }

  /** The server said that it ends the connection: it says nothing more. */
  closing(): void {
    this.#heard('closing')
    this.#closing = true
  }

  message(data: Fields): void {
    const message = data as Message
    const { topic, seq, epoch } = message
    this.#heard(`${topic} ${seq}`)
    const { letter, times, text } = message.payload
    if (text !== letter.repeat(times)) this.#fault(`${topic} ${seq}: its text is spoiled`)
    const known = this.#topic(topic)
    if (known.state !== 'live') return this.#fault(`${topic} ${seq} while ${known.state}`)
    if (this.#kindOf(topic) === 'ephemeral') return this.#ephemeral(message, known)
    const after = `${topic} ${epoch}:${seq} after ${known.epoch}:${known.seq}`
    const missing = seq - known.seq - 1
    const skipped = message.skipped ?? 0
    const allowed = this.#kindOf(topic) === 'latest' ? missing <= skipped : missing === 0
    if (epoch !== known.epoch || missing < 0 || !allowed)
      this.#fault(`${after}, skipped ${skipped}`)
    known.epoch = epoch
    known.seq = seq
  }

  #ephemeral({ topic, seq, epoch, payload: { by, n } }: Message, known: Known): void {
    if (seq !== 0 || epoch !== '') this.#fault(`${topic} has a position: ${epoch}:${seq}`)
    const before = known.lastOf.get(by) ?? 0
    if (n <= before) this.#fault(`${topic}: ${n} of ${by} after ${before}`)
    known.lastOf.set(by, n)
  }

  /** The answer to a subscribe; `repeats`: it asked for nothing of the past. */
  subscribed(data: Fields, { since, repeats }: { since: number | null; repeats: boolean }): void {
    const answer = data as Answer
    const { topic, epoch, seq, messages, more, gap } = answer
    this.#heard(`subscribed ${topic} ${seq}`)
    const known = this.#topic(topic)
    const was = known.state
    if (gap !== undefined) this.#fault(`${topic}: a gap ${JSON.stringify(gap)}`)
    const seqs = messages.map((message) => message.seq)
    const first = since === null ? (seqs[0] ?? 0) : since + 1
    const expected = seqs.map((_, index) => first + index)
    if (seqs.join() !== expected.join() || (seqs.length > 0 && seqs.at(-1) !== seq)) {
      this.#fault(`${topic}: a page of ${seqs.join()} up to ${seq} after ${since}`)
    }
    const strict = this.#kindOf(topic) === 'recoverable'
    if (was === 'live' && strict && (repeats ? seq !== known.seq : !more && seq < known.seq)) {
      this.#fault(`${topic}: subscribed again at ${seq}, had ${known.seq}`)
    }
    known.state = more ? 'paging' : 'live'
    known.epoch = epoch
    known.seq = seq
  }

  unsubscribed(topic: string): void {
    this.#heard(`unsubscribed ${topic}`)
    this.#topic(topic).state = 'out'
  }

  /** Any other answer or event: in its place. */
  other(what: string): void {
    this.#heard(what)
  }

  fault(what: string): void {
    this.#fault(what)
  }

  #heard(what: string): void {
    this.heard += 1
    if (this.#closing) this.#fault(`${what} after closing`)
  }

  #topic(topic: string): Known {
    let known = this.#topics.get(topic)
    if (known === undefined) {
      known = { state: 'out', epoch: '', seq: 0, lastOf: new Map() }
      this.#topics.set(topic, known)
    }
    return known
  }

  #fault(what: string): void {
    if (this.faults.length < 10) this.faults.push(what)
  }
}
