import {
  Listeners,
  RealtimeError,
  type Cancel,
  type ErrorCode,
  type Gap,
  type Logger,
  type User,
} from '@bmt-central/realtime-protocol'
import { textOf } from './thrown.js'

/** A live connection as the application sees it. */
export interface ConnectionSnapshot {
  connectionId: string
  user: User
  /** ms since the Unix epoch. */
  connectedAt: number
  /** Of the last request; ms since the Unix epoch. */
  lastActivity: number
  subscribedChannels: string[]
  address: string
  /** `websocket` or `polling`. */
  transport: string
  client: { name?: string; version?: string; instance?: string }
  /** Bytes that wait for its reader. */
  waitingBytes: number
}

/** What a service tells its listeners. Never payloads or tokens. */
export interface ServiceEvents {
  connection: ConnectionSnapshot
  disconnect: ConnectionSnapshot & { code: ErrorCode | null; reason: string }
  subscribe: {
    connectionId: string
    userId: string
    topic: string
    recovered: boolean
    replayed: number
    gap: Gap | null
    more: boolean
  }
  unsubscribe: { connectionId: string; userId: string; topic: string }
  publish: {
    topic: string
    id: string
    epoch: string
    seq: number
    from: string | null
    deliveredTo: number
    timestamp: number
  }
  /** A request or a connection was refused, for whatever reason: `code` says which. */
  denied: {
    connectionId: string | null
    userId: string | null
    event: string
    topic: string | null
    code: ErrorCode
    message: string
    /** The application's rule that decided, where one did. */
    rule: string | null
  }
  channel_open: { topic: string }
  channel_empty: { topic: string }
  /** Something of the application's or of the server's own failed; nobody else is affected. */
  error: { error: unknown; where: string }
}

/** Where a refusal happened. */
export interface Refusal {
  readonly connectionId?: string
  readonly userId?: string
  readonly event: string
  readonly topic?: string
  /** The application's rule that said no. */
  readonly rule?: string
}

/**
 * The one place that every decision of the server passes: it counts, logs and tells listeners.
 */
export class Journal {
  readonly #listeners: Listeners<ServiceEvents>
  readonly #logger: Logger
  /** Refusals since the start, by code. */
  readonly refused: Map<ErrorCode, number> = new Map()
  publishedTotal = 0
  deliveredTotal = 0

  constructor(logger: Logger) {
    this.#logger = logger
    this.#listeners = new Listeners((error, event) => {
      logger.error('a listener of the service threw', { event, error: describe(error) })
    })
  }

  on<Name extends keyof ServiceEvents>(
    event: Name,
    listener: (event: ServiceEvents[Name]) => void,
  ): Cancel {
    return this.#listeners.on(event, listener)
  }

  clear(): void {
    this.#listeners.clear()
  }

  connected(snapshot: ConnectionSnapshot): void {
    const { connectionId, user, transport, address } = snapshot
    this.#logger.debug('connected', { connectionId, userId: user.userId, transport, address })
    this.#listeners.emit('connection', snapshot)
  }

  disconnected(snapshot: ConnectionSnapshot, code: ErrorCode | null, reason: string): void {
    const { connectionId, user } = snapshot
    this.#logger.debug('disconnected', { connectionId, userId: user.userId, code, reason })
    this.#listeners.emit('disconnect', { ...snapshot, code, reason })
  }

  /** Whether anybody wants snapshots: they cost more than a connection should. */
  listens(event: keyof ServiceEvents): boolean {
    return this.#listeners.count(event) > 0
  }

  subscribed(event: ServiceEvents['subscribe']): void {
    if (event.gap !== null) this.#logger.info('recovery with a gap', { ...event })
    this.#listeners.emit('subscribe', event)
  }

  unsubscribed(event: ServiceEvents['unsubscribe']): void {
    this.#listeners.emit('unsubscribe', event)
  }

  published(
    { topic, id, from }: Pick<ServiceEvents['publish'], 'topic' | 'id' | 'from'>,
    { epoch, seq, deliveredTo, timestamp }: Omit<ServiceEvents['publish'], 'topic' | 'id' | 'from'>,
  ): void {
    this.publishedTotal += 1
    if (!this.listens('publish')) return
    this.#listeners.emit('publish', { topic, id, epoch, seq, from, deliveredTo, timestamp })
  }

  channelOpened(topic: string): void {
    this.#listeners.emit('channel_open', { topic })
  }

  channelEmpty(topic: string): void {
    this.#listeners.emit('channel_empty', { topic })
  }

  /** A request or connection was refused. What is no `RealtimeError` is a failure of the server's. */
  denied(error: unknown, refusal: Refusal): void {
    const known = error instanceof RealtimeError ? error : null
    if (known === null) this.failed(error, refusal.event)
    const code = known?.code ?? 'internal_error'
    this.refused.set(code, (this.refused.get(code) ?? 0) + 1)
    const fields = {
      connectionId: refusal.connectionId ?? null,
      userId: refusal.userId ?? null,
      event: refusal.event,
      topic: refusal.topic ?? null,
      code,
      message: known?.message ?? 'the server failed to carry out the request',
      rule: refusal.rule ?? null,
    }
    this.#logger.debug('refused', fields)
    this.#listeners.emit('denied', fields)
  }

  /** Something failed that should not have. */
  failed(error: unknown, where: string): void {
    this.#logger.error('failed', { where, error: describe(error) })
    this.#listeners.emit('error', { error, where })
  }
}

/** An error as text for a log, with its stack and its cause's message. */
export function describe(error: unknown): string {
  if (!(error instanceof Error)) return textOf(error)
  const cause = error.cause === undefined ? '' : ` (cause: ${describe(error.cause)})`
  return `${error.stack ?? error.message}${cause}`
}
