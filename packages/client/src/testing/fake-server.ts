import {
  RealtimeError,
  toWireFailure,
  type ConnectedEvent,
  type ErrorCode,
  type Position,
  type RealtimeErrorOptions,
} from '@bmt-central/realtime-protocol'
import type { CreateLink, Handshake, Link, LinkListener } from '../link/link.js'

/** The fields of all requests; which of them there are depends on the event. */
export interface SentData {
  readonly topic: string
  readonly topics: readonly { topic: string; since?: Position; rewind?: number }[]
  readonly since?: Position
  readonly limit?: number
  readonly payload: unknown
  readonly messageId: string
  readonly after?: string
  readonly timestamp: number
}

/** A request as it arrived, to be answered by the test. */
export interface FakeRequest {
  readonly event: string
  readonly data: SentData
  readonly answered: boolean
  /** Acknowledges it with these fields. */
  readonly ok: (fields: object) => void
  readonly refuse: (code: ErrorCode, options?: RealtimeErrorOptions) => void
}

/** `connected` as a server with the default limits and no application rules sends it. */
export function connectedEvent(overrides: Partial<ConnectedEvent> = {}): ConnectedEvent {
  return {
    connectionId: 'connection-1',
    user: { userId: 'ada', role: 'user', permissions: [] },
    protocol: 1,
    serverTime: 0,
    windowEpoch: 'window-1',
    heartbeatInterval: 30_000,
    limits: {
      maxPayloadBytes: 65_536,
      idempotencyWindowMs: 300_000,
      publishesPerSecond: 100,
      publishBurst: 200,
      publishBytesPerSecond: 1_048_576,
      publishBytesBurst: 2_097_152,
      requestsPerSecond: 100,
      requestBurst: 1_000,
      maxPageMessages: 500,
    },
    rules: [{ match: '*', subscribe: 'anyone', publish: 'anyone' }],
    ...overrides,
  }
}

/** The other end of one in-memory link. It answers nothing by itself. */
export class FakeLink implements Link {
  readonly handshake: Handshake
  readonly requests: FakeRequest[] = []
  /** Given up by the client. */
  dropped = false
  /** Open, but nothing gets through any more, in either direction. */
  blackHole = false
  readonly #listener: LinkListener
  readonly #onRequest: (request: FakeRequest, link: FakeLink) => void

  constructor(
    handshake: Handshake,
    listener: LinkListener,
    onRequest: (request: FakeRequest, link: FakeLink) => void,
  ) {
    this.handshake = handshake
    this.#listener = listener
    this.#onRequest = onRequest
  }

  request(event: string, data: object, answer: (acknowledgement: unknown) => void): void {
    if (this.blackHole) return
    let answered = false
    const reply = (acknowledgement: object): void => {
      answered = true
      if (this.dropped || this.blackHole) return
      this.packet()
      answer(structuredClone(acknowledgement))
    }
    const request: FakeRequest = {
      event,
      data: structuredClone(data) as SentData,
      get answered() {
        return answered
      },
      ok: (fields) => reply({ status: 'success', ...fields }),
      refuse: (code, options) => reply(refusal(code, options)),
    }
    this.requests.push(request)
    this.#onRequest(request, this)
  }

  drop(): void {
    this.dropped = true
  }

  packet(): void {
    if (!this.blackHole) this.#listener.packet()
  }

  /** As a real link: nothing after the client gave it up. */
  emit(name: string, data: unknown): void {
    if (!this.dropped) this.emitLate(name, data)
  }

  /** As a link that does not stop: also after the client gave it up. */
  emitLate(name: string, data: unknown): void {
    if (this.blackHole) return
    this.packet()
    this.#listener.event(name, structuredClone(data))
  }

  admit(overrides?: Partial<ConnectedEvent>): void {
    this.emit('connected', connectedEvent(overrides))
  }

  /** Ends, or is refused where it was not admitted yet. */
  down(code: ErrorCode = 'not_connected', options: RealtimeErrorOptions = {}): void {
    if (!this.dropped) this.downLate(code, options)
  }

  downLate(code: ErrorCode = 'not_connected', options: RealtimeErrorOptions = {}): void {
    this.#listener.down(new RealtimeError(code, `down: ${code}`, options))
  }

  /** What is not answered yet, of one kind. */
  waiting(event: string): FakeRequest[] {
    return this.requests.filter((request) => request.event === event && !request.answered)
  }

  /** Everything of one kind that arrived. */
  sent(event: string): SentData[] {
    return this.requests.filter((request) => request.event === event).map(({ data }) => data)
  }
}

function refusal(code: ErrorCode, options?: RealtimeErrorOptions): object {
  return toWireFailure(new RealtimeError(code, `refused: ${code}`, options))
}

/** A server that is alive. */
export function answerHeartbeat({ event, data, ok }: FakeRequest): void {
  if (event !== 'heartbeat') return
  const { timestamp } = data
  queueMicrotask(() => ok({ timestamp, serverTime: timestamp }))
}

/**
 * Where all links of a client end. Admits each at once unless `onOpen` says otherwise, and answers
 * heartbeats unless `onRequest` does something else.
 */
export class FakeServer {
  readonly links: FakeLink[] = []
  /** What `connected` says. */
  welcome: Partial<ConnectedEvent> = {}
  onOpen: (link: FakeLink) => void = (link) => queueMicrotask(() => link.admit(this.welcome))
  onRequest: (request: FakeRequest, link: FakeLink) => void = answerHeartbeat

  readonly createLink: CreateLink = (handshake, listener) => {
    const link = new FakeLink(handshake, listener, (request, from) => this.onRequest(request, from))
    this.links.push(link)
    this.onOpen(link)
    return link
  }

  /** The newest link. */
  get link(): FakeLink {
    const link = this.links.at(-1)
    if (link === undefined) throw new Error('the client has opened no link')
    return link
  }
}
