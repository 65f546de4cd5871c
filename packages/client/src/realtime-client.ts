import {
  Listeners,
  type Cancel,
  type ClientStats,
  type HistoryPage,
  type PublishAck,
  type User,
} from '@bmt-central/realtime-protocol'
import { Connection, type ConnectionEvent, type ConnectionStatus } from './connection/driver.js'
import type { Session } from './connection/session.js'
import { browserWake, type Wake } from './connection/wake.js'
import { readHistory, type HistoryOptions } from './history.js'
import type { CreateLink } from './link/link.js'
import { socketIoLink } from './link/socket-io-link.js'
import { resolveOptions, type RealtimeOptions, type ResolvedOptions } from './options.js'
import type { PublishOptions } from './publishing/entry.js'
import type { OutboxEvent } from './publishing/outbox.js'
import { Publisher } from './publishing/publisher.js'
import { Rights } from './rights.js'
import { Registry } from './subscriptions/registry.js'
import {
  checkSubscribeOptions,
  type MessageListener,
  type SubscribeOptions,
  type Subscription,
} from './subscriptions/subscription.js'
import { oncePerTurn } from './turn.js'

/** What a client stands on: replaced in tests. */
export interface ClientParts {
  readonly createLink: CreateLink
  readonly wake: Wake
}

interface ClientEvents {
  connection: ConnectionEvent
  outbox: OutboxEvent
}

/**
 * One client: a connection that comes back by itself, subscriptions that go on where they were, and
 * one queue of publishes. The rules are those of the contract; ids in brackets name them.
 */
export class RealtimeClient implements AsyncDisposable {
  readonly #options: Readonly<ResolvedOptions>
  readonly #listeners: Listeners<ClientEvents>
  readonly #connection: Connection
  readonly #registry: Registry
  readonly #publisher: Publisher
  readonly #rights = new Rights()
  #restoring = false

  /**
   * Connects to nothing yet. `parts` is for tests.
   * @throws RealtimeError `invalid_options`
   */
  constructor(options: RealtimeOptions, parts: Partial<ClientParts> = {}) {
    const resolved = resolveOptions(options)
    const { runtime, logger } = resolved
    const flush = oncePerTurn(() => this.#flush())
    this.#options = resolved
    this.#listeners = new Listeners((error, event) => {
      this.#registry.listenerErrors += 1
      logger.error('listener threw', { event, error })
    })
    this.#registry = new Registry({
      runtime,
      logger,
      flush,
      isOwn: ({ id }) => this.#publisher.isOwn(id),
      denied: (topic) => this.#rights.denied(topic, 'subscribe'),
    })
    this.#publisher = new Publisher({
      runtime,
      logger,
      flush,
      limits: resolved,
      store: resolved.outboxStore,
      tell: (event) => this.#listeners.emit('outbox', event),
      fault: (draft) => this.#rights.fault(draft),
      isEphemeral: (topic) => this.#rights.isEphemeral(topic) || this.#registry.isEphemeral(topic),
    })
    this.#connection = new Connection({
      options: { ...resolved, patienceMs: resolved.publishTimeoutMs },
      createLink: parts.createLink ?? socketIoLink(resolved),
      wake: parts.wake ?? browserWake,
      admitted: (session) => this.#admit(session),
      changed: (event) => this.#listeners.emit('connection', event),
      started: (session) => this.#start(session),
      stopped: () => this.#stop(),
      gaveUp: (error) => this.#publisher.gaveUp(error),
      message: (data) => this.#registry.receive(data),
    })
  }

  get status(): ConnectionStatus {
    return this.#connection.status
  }

  /** Who this client is, as the server said when it was connected last; null before. */
  get user(): User | null {
    const { user } = this.#rights
    return user && { ...user }
  }

  /**
   * Resolves when the server has admitted it; until then it tries as `reconnect` says [C1].
   * @throws RealtimeError `unauthenticated` · `token_expired` · `protocol_unsupported` · `kicked`
   *   (final) · `not_connected` (disconnected meanwhile, or attempts used up) · `closed` · `aborted`
   */
  connect(options: { signal?: AbortSignal } = {}): Promise<void> {
    return this.#connection.connect(options.signal)
  }

  /** Keeps subscriptions and outbox; `connect()` goes on with them [C8]. */
  disconnect(): void {
    this.#connection.disconnect()
  }

  /**
   * Begins to listen to a topic. Never throws for what a server could refuse: then the state is
   * `failed`, and `ready` rejects.
   * @throws RealtimeError `invalid_options`
   */
  subscribe<T = unknown>(
    topic: string,
    listener?: MessageListener<T>,
    options: SubscribeOptions = {},
  ): Subscription<T> {
    checkSubscribeOptions(options)
    const local = this.#registry.subscribe(topic, listener as MessageListener | undefined, options)
    return local as Subscription as Subscription<T>
  }

  /**
   * Publishes one message. Always settles [P5]: by default within 60 s online and 24 h offline.
   * @throws RealtimeError what the server refused it with · `not_connected` · `queue_overflow` ·
   *   `expired` · `timeout` · `closed` · `aborted` · `invalid_options`. With
   *   `details.outcome: 'unknown'` it may have been published all the same.
   */
  publish(topic: string, payload: unknown, options: PublishOptions = {}): Promise<PublishAck> {
    return this.#publisher.publish(topic, payload, options)
  }

  /**
   * One page of what a topic retains [W13]. Needs a connection.
   * @throws RealtimeError `not_connected` · `permission_denied` · `timeout` · `aborted` ·
   *   `invalid_topic` · `invalid_message`
   */
  history(topic: string, query: HistoryOptions = {}): Promise<HistoryPage> {
    const parts = {
      runtime: this.#options.runtime,
      timeoutMs: this.#options.publishTimeoutMs,
      session: () => this.#connection.session,
      denied: (name: string) => this.#rights.denied(name, 'subscribe'),
    }
    return readHistory(parts, topic, query)
  }

  /**
   * From now on this token instead of what `auth` gives. Goes on after a refused one; a live
   * connection is replaced by one with the new token.
   */
  setToken(token: string): void {
    this.#connection.setToken(token)
  }

  /** Tells every change of the connection. Returns the function that stops it. */
  onConnection(listener: (event: ConnectionEvent) => void): Cancel {
    return this.#listeners.on('connection', listener)
  }

  /** Tells what becomes of every publish. Returns the function that stops it. */
  onOutbox(listener: (event: OutboxEvent) => void): Cancel {
    return this.#listeners.on('outbox', listener)
  }

  getStats(): ClientStats {
    const { runtime } = this.#options
    const { session, connectedAt } = this.#connection
    const { outbox, published } = this.#publisher
    const { locals, topics } = this.#registry.size
    return {
      status: this.status,
      connectionId: session?.connected.connectionId ?? null,
      connectedAt:
        connectedAt === null
          ? null
          : Math.round(runtime.wallNow() - (runtime.monotonicNow() - connectedAt)),
      reconnectCount: this.#connection.reconnectCount,
      subscriptions: locals,
      topics,
      queueSize: outbox.size,
      queueBytes: outbox.bytes,
      published,
      acknowledged: outbox.acknowledged,
      failed: outbox.failed,
      outboxStore: this.#publisher.keeper.state,
      ...this.#registry.counts,
      listenerErrors: this.#registry.listenerErrors,
      latencyMs: this.#connection.latencyMs,
      bounds: {
        ...this.#registry.bounds,
        ...this.#publisher.bounds,
        ...(session !== null && { requests: session.pending }),
      },
    }
  }

  /** Whether the server may let such a user read the channel [R8]; yes where only it can tell. */
  canAccessChannel(
    channel: string,
    userRole: string,
    userId: string,
    permissions?: readonly string[],
  ): boolean {
    return this.#rights.allows('subscribe', { channel, role: userRole, userId, permissions })
  }

  /** Whether the server may let such a user publish there [R8]; yes where only it can tell. */
  canPublishToChannel(
    channel: string,
    userRole: string,
    userId: string,
    permissions?: readonly string[],
  ): boolean {
    return this.#rights.allows('publish', { channel, role: userRole, userId, permissions })
  }

  /** Whether the server has told its rules. */
  get knowsRules(): boolean {
    return this.#rights.known
  }

  /**
   * For ever: publishes that wait reject with `closed`, subscriptions end, nothing stays behind, in
   * `outboxStore` neither: the way to log out. A page that is left, or a process that ends, keeps
   * what is stored by not calling it. Resolves once the store is clear.
   */
  async close(): Promise<void> {
    const cleared = this.#publisher.close()
    this.#registry.close()
    this.#connection.close()
    await cleared
    this.#listeners.clear()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #admit(session: Session): void {
    this.#rights.learn(session)
    if (this.#publisher.admit(session)) this.#registry.forget()
  }

  /** The order of [C2]: subscriptions, then the outbox. */
  #start(session: Session): void {
    this.#restoring = true
    this.#publisher.start(session)
    this.#registry.start(session)
    this.#flush()
  }

  #stop(): void {
    this.#registry.stop()
    this.#publisher.stop()
  }

  #flush(): void {
    this.#registry.pump()
    if (this.#registry.asked) this.#restoring = false
    if (!this.#restoring) this.#publisher.pump()
  }
}
