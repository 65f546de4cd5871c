import {
  compileRules,
  RealtimeError,
  type Cancel,
  type ConnectedEvent,
  type RuleSet,
  type Runtime,
} from '@bmt-central/realtime-protocol'
import type { Link } from '../link/link.js'
import { Bucket } from './pacing.js'

/** Called once: with the acknowledgement, or with the reason why there is none. */
export type Answer = (acknowledgement: unknown, failure: RealtimeError | null) => void

export interface SessionParts {
  readonly runtime: Runtime
  readonly link: Link
  readonly connected: ConnectedEvent
  /** ms without an answer after which the link is checked. */
  readonly patienceMs: number
  readonly check: () => void
}

interface Pending {
  readonly answer: Answer
  readonly cancel: Cancel
}

/** Requests that may wait for an answer at once; the server carries out 256 and keeps 256 more [L15]. */
const MAX_PENDING = 500

/** One admitted link: what the server said of it, and requests that may not outlive it. */
export class Session {
  readonly connected: ConnectedEvent
  /** The application's rules, or null where only the server can tell [R8]. */
  readonly rules: RuleSet | null
  readonly publishes: Bucket
  readonly publishBytes: Bucket
  readonly requests: Bucket
  readonly #parts: SessionParts
  readonly #pending = new Set<Pending>()
  #state: 'open' | 'ending' | 'over' = 'open'

  constructor(parts: SessionParts) {
    const { runtime, connected } = parts
    const { limits } = connected
    this.#parts = parts
    this.connected = connected
    this.rules = readRules(connected)
    this.publishes = new Bucket(runtime, limits.publishesPerSecond, limits.publishBurst)
    this.publishBytes = new Bucket(runtime, limits.publishBytesPerSecond, limits.publishBytesBurst)
    this.requests = new Bucket(runtime, limits.requestsPerSecond, limits.requestBurst)
  }

  /** Whether anything new may be sent. Answers may still come after that. */
  get open(): boolean {
    return this.#state === 'open'
  }

  get over(): boolean {
    return this.#state === 'over'
  }

  get pending(): { used: number; cap: number } {
    return { used: this.#pending.size, cap: MAX_PENDING }
  }

  request(event: string, data: object, answer: Answer): void {
    const refuse = (failure: RealtimeError): void => answer(undefined, failure)
    if (!this.open) return refuse(new RealtimeError('not_connected', 'the connection has ended'))
    if (this.#pending.size >= MAX_PENDING) {
      return refuse(new RealtimeError('rate_limited', `${MAX_PENDING} requests wait for answers`))
    }
    const pending: Pending = {
      answer,
      cancel: this.#parts.runtime.after(this.#parts.patienceMs, this.#parts.check),
    }
    this.#pending.add(pending)
    this.#parts.link.request(event, data, (acknowledgement) => {
      if (!this.#pending.delete(pending)) return
      pending.cancel()
      answer(acknowledgement, null)
    })
  }

  /** The server is about to end it: what has been sent may still be answered. */
  closing(): void {
    this.#state = 'ending'
  }

  end(cause: RealtimeError): void {
    this.#state = 'over'
    for (const pending of [...this.#pending]) {
      this.#pending.delete(pending)
      pending.cancel()
      pending.answer(undefined, cause)
    }
  }
}

/** Rules in patterns that this version cannot read are as good as kept back. */
function readRules({ rules }: ConnectedEvent): RuleSet | null {
  try {
    return rules && compileRules(rules)
  } catch (error) {
    if (error instanceof RealtimeError) return null
    throw error
  }
}
