import {
  gapSince,
  RealtimeError,
  resumeAfter,
  type ErrorCode,
  type EventMessage,
  type Position,
} from '@bmt-central/realtime-protocol'
import type { VirtualRuntime } from '@bmt-central/realtime-protocol/testing'
import { subscribed } from './answers.js'
import { connectedEvent, type FakeLink, type FakeRequest, type FakeServer } from './fake-server.js'

/** What can go wrong with one request, each with a share of all; the rest goes well. */
export interface Faults {
  /** The link ends before the request is carried out, or between that and the answer. */
  readonly cutBefore: number
  readonly cutAfter: number
  /** From here on nothing gets through, and nobody says so. */
  readonly blackHole: number
  /** It is refused for now. */
  readonly refuse: number
}

export const NO_FAULTS: Faults = { cutBefore: 0, cutAfter: 0, blackHole: 0, refuse: 0 }

interface Stream {
  readonly epoch: string
  /** Everything that was ever appended in this epoch. */
  readonly all: EventMessage[]
}

interface Accepted {
  readonly seq: number
  readonly epoch: string
  readonly json: string
}

const RETAINED = 8
const PAGE = 3
const REFUSALS: ErrorCode[] = [
  'rate_limited',
  'publish_failed',
  'broker_unavailable',
  'channel_full',
]

/**
 * A small server by the contract: streams, pages, gaps, idempotent publish, `after`. One request of a
 * link after the other, each a little later. What it lacks is in the real one, and in its tests.
 */
export class ModelServer {
  faults: Faults = NO_FAULTS
  /** All streams there ever were, also of epochs that have ended. */
  readonly streams: { topic: string; stream: Stream }[] = []
  readonly #server: FakeServer
  readonly #runtime: VirtualRuntime
  readonly #random: () => number
  readonly #current = new Map<string, Stream>()
  readonly #accepted = new Map<string, Accepted>()
  readonly #live = new Map<FakeLink, Set<string>>()
  readonly #busy = new Map<FakeLink, FakeRequest[]>()
  #incarnation = 1

  constructor(server: FakeServer, runtime: VirtualRuntime, random: () => number) {
    this.#server = server
    this.#runtime = runtime
    this.#random = random
    const { limits } = connectedEvent()
    server.onOpen = (link) => {
      this.#live.set(link, new Set())
      const windowEpoch = `window-${this.#incarnation}`
      const after = Math.floor(random() * 200)
      runtime.after(after, () => {
        if (this.#chance('cutBefore')) return link.down()
        link.admit({ windowEpoch, limits: { ...limits, maxPageMessages: PAGE } })
      })
    }
    server.onRequest = (request, link) => this.#take(request, link)
  }

  /** The server itself, or somebody else, publishes. */
  append(topic: string): void {
    this.#append(topic, { id: this.#runtime.id(), payload: null, from: null })
  }

  /** Everything in memory is gone, and so are all links. */
  restart(): void {
    this.#incarnation += 1
    this.#current.clear()
    this.#accepted.clear()
    for (const link of this.#live.keys()) link.down()
    this.#live.clear()
  }

  cut(): void {
    const [link] = this.#server.links.slice(-1)
    link?.down()
  }

  streamOf(topic: string): Stream {
    const known = this.#current.get(topic)
    if (known !== undefined) return known
    const stream = { epoch: `epoch-${this.#incarnation}`, all: [] }
    this.#current.set(topic, stream)
    this.streams.push({ topic, stream })
    return stream
  }

  #chance(fault: keyof Faults): boolean {
    return this.#random() < this.faults[fault]
  }

  #take(request: FakeRequest, link: FakeLink): void {
    const queue = this.#busy.get(link)
    if (queue !== undefined) return void queue.push(request)
    this.#busy.set(link, [request])
    this.#next(link)
  }

  #next(link: FakeLink): void {
    this.#runtime.after(Math.floor(this.#random() * 40), () => {
      const queue = this.#busy.get(link) ?? []
      const request = queue.shift()
      if (request !== undefined && !link.dropped && this.#live.has(link)) this.#work(request, link)
      if (queue.length > 0) this.#next(link)
      else this.#busy.delete(link)
    })
  }

  #work(request: FakeRequest, link: FakeLink): void {
    if (this.#chance('blackHole')) link.blackHole = true
    if (link.blackHole) return
    if (this.#chance('cutBefore')) return link.down()
    const answer = this.#answer(request, link)
    if (this.#chance('cutAfter')) return link.down()
    answer()
  }

  /** Carries it out; gives what then answers it. */
  #answer(request: FakeRequest, link: FakeLink): () => void {
    const { event, data } = request
    const topics = this.#live.get(link)
    switch (event) {
      case 'heartbeat':
        return () => request.ok({ timestamp: data.timestamp, serverTime: data.timestamp })
      case 'unsubscribe':
        topics?.delete(data.topic)
        return () => request.ok({ topic: data.topic })
      case 'subscribe': {
        const results = data.topics.map((item) => this.#subscribe(item, topics ?? new Set()))
        return () => request.ok({ results })
      }
      case 'history': {
        const page = this.#page(data.topic, data.since ?? null, data.limit ?? PAGE)
        return () => request.ok({ ...page, topic: data.topic })
      }
      default:
        return this.#publish(request)
    }
  }

  #publish(request: FakeRequest): () => void {
    const { topic, payload, messageId, after } = request.data
    const known = this.#accepted.get(`${topic} ${messageId}`)
    const ok = ({ seq, epoch }: Accepted, duplicate: boolean) => {
      return () => request.ok({ messageId, topic, epoch, seq, deliveredTo: 1, duplicate })
    }
    if (known !== undefined) {
      return known.json === JSON.stringify(payload)
        ? ok(known, true)
        : () => request.refuse('id_conflict')
    }
    if (after !== undefined && !this.#accepted.has(`${topic} ${after}`)) {
      return () => request.refuse('out_of_order')
    }
    if (this.#chance('refuse')) {
      const code = REFUSALS[Math.floor(this.#random() * REFUSALS.length)] ?? 'rate_limited'
      return () => request.refuse(code, { retryAfterMs: Math.floor(this.#random() * 500) })
    }
    const message = this.#append(topic, { id: messageId, payload, from: 'ada' })
    const accepted = { seq: message.seq, epoch: message.epoch, json: JSON.stringify(payload) }
    this.#accepted.set(`${topic} ${messageId}`, accepted)
    return ok(accepted, false)
  }

  #append(topic: string, part: Pick<EventMessage, 'id' | 'payload' | 'from'>): EventMessage {
    const stream = this.streamOf(topic)
    const seq = stream.all.length + 1
    const timestamp = this.#runtime.wallNow()
    const message: EventMessage = {
      type: 'event',
      topic,
      seq,
      epoch: stream.epoch,
      timestamp,
      ...part,
    }
    stream.all.push(message)
    for (const [link, topics] of this.#live) {
      if (topics.has(topic) && !link.dropped) link.emit('message', message)
    }
    return message
  }

  #subscribe(item: FakeRequest['data']['topics'][number], live: Set<string>): object {
    const { topic, since, rewind } = item
    if (this.#chance('refuse')) {
      return { status: 'error', code: 'channel_full', message: 'full', retryable: true }
    }
    const stream = this.streamOf(topic)
    const head = stream.all.length
    const from =
      since ??
      (rewind === undefined ? null : { epoch: stream.epoch, seq: Math.max(0, head - rewind) })
    const start = from ?? { epoch: stream.epoch, seq: head }
    const { gap, ...page } = this.#page(topic, start, PAGE)
    if (page.more) live.delete(topic)
    else live.add(topic)
    const last = page.messages.at(-1)?.seq ?? (page.more ? resumeAfter(start, gap ?? null) : head)
    return subscribed(topic, {
      ...page,
      seq: last,
      recovered: since !== undefined && gap === undefined,
      ...(gap !== undefined && since !== undefined && { gap }),
    })
  }

  #page(topic: string, since: Position | null, limit: number) {
    const { epoch, all } = this.streamOf(topic)
    const head = all.length
    const oldest = Math.max(1, head - RETAINED + 1)
    const from = since ?? { epoch, seq: head }
    const gap = gapSince(from, { epoch, head, oldest })
    const rest = all.slice(Math.max(resumeAfter(from, gap), oldest - 1))
    const messages = rest.slice(0, limit)
    return {
      epoch,
      seq: head,
      messages,
      more: rest.length > messages.length,
      ...(gap !== null && { gap }),
    }
  }
}

/** So that a fault in the model itself is never taken for one of the client. */
export function assertKnown(error: unknown): RealtimeError {
  if (error instanceof RealtimeError) return error
  throw error
}
