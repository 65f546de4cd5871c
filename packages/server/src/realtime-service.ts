import { createServer, type Server as HttpServer } from 'node:http'
import type { Server as HttpsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import {
  decodeHistoryQuery,
  isMessageId,
  parseTopic,
  RealtimeError,
  userIdFault,
  type Cancel,
  type ChannelStats,
  type HistoryPage,
  type HistoryQuery,
  type PublishAck,
  type ServerStats,
} from '@bmt-central/realtime-protocol'
import { closingError, Connections } from './connections.js'
import { catchUp } from './delivery/catch-up.js'
import { eventMessage } from './delivery/event-json.js'
import { FanOut } from './delivery/fan-out.js'
import { SlowConsumers } from './delivery/slow-consumer.js'
import { connectionSnapshot } from './hub/connection-snapshot.js'
import { Hub } from './hub/hub.js'
import { Journal, type ConnectionSnapshot, type ServiceEvents } from './journal.js'
import { budgetsOf } from './limits/budgets.js'
import { Sweeper } from './maintenance/sweeper.js'
import { integerOption } from './option-values.js'
import { resolveOptions, type RealtimeServiceOptions, type ResolvedOptions } from './options.js'
import type { RequestContext } from './requests/context.js'
import { readHistory } from './requests/history.js'
import { OwnPublishes } from './requests/own-publishes.js'
import type { PublishOrder } from './requests/once.js'
import { channelStats, serverStats } from './stats.js'
import {
  createTransport,
  type CreateTransport,
  type SocketIoServer,
  type Transport,
} from './transport/socket-io.js'
import { Turn } from './transport/turn.js'

/** How often slow readers are looked for [L8]. */
const SLOW_SWEEP_MS = 1_000
const NOTIFICATIONS_TOPIC = 'system:notifications'
const NOTIFICATION_LEVELS = ['info', 'warning', 'error'] as const

/** How urgent a system notification is. */
export type NotificationLevel = (typeof NOTIFICATION_LEVELS)[number]

/** How the server publishes. */
export interface ServerPublishOptions {
  /** The publication's id, 1 to 64 of [A-Za-z0-9_-]; made where none is given. A repeated one is a duplicate [P4]. */
  readonly id?: string
  /** On whose behalf; default: the server's own (`from` is null). */
  readonly from?: string
}

/** What a service stands on: replaced in tests. */
export interface ServiceParts {
  readonly createTransport: CreateTransport
}

/**
 * The realtime server, embedded in a Node application.
 *
 * ```ts
 * const realtime = new RealtimeService({ authenticate: jwtAuth({ secret, issuer, audience }) })
 * await realtime.attach(httpServer)
 * ```
 */
export class RealtimeService {
  readonly #options: ResolvedOptions
  readonly #hub: Hub
  readonly #journal: Journal
  readonly #context: RequestContext
  readonly #connections: Connections
  readonly #transport: Transport
  readonly #sweeper: Sweeper
  readonly #slow: SlowConsumers
  readonly #fanOut: FanOut
  readonly #own: OwnPublishes
  readonly #startedAt: number
  #windowEpoch = ''
  #started: Promise<void> | null = null
  #closed: Promise<void> | null = null
  #brokerUp = false
  readonly #ownServers: HttpServer[] = []

  /**
   * `parts` is for tests.
   * @throws RealtimeError `invalid_options`, naming the option
   */
  constructor(options: RealtimeServiceOptions, parts: Partial<ServiceParts> = {}) {
    this.#options = resolveOptions(options)
    const { runtime, limits, rules, broker, logger } = this.#options
    this.#startedAt = runtime.monotonicNow()
    this.#journal = new Journal(logger)
    this.#hub = new Hub({
      rules,
      limits,
      runtime,
      events: {
        channelOpened: ({ topic }) => this.#journal.channelOpened(topic),
        channelEmpty: ({ topic }) => this.#journal.channelEmpty(topic),
      },
    })
    const turn = new Turn({
      nextTurn: (run) => runtime.after(0, run),
      now: () => runtime.monotonicNow(),
      failed: (error) => this.#journal.failed(error, 'writing to a connection'),
    })
    this.#fanOut = new FanOut({ hub: this.#hub, journal: this.#journal, turn })
    this.#context = {
      hub: this.#hub,
      broker,
      limits,
      budgets: budgetsOf(limits),
      runtime,
      journal: this.#journal,
      fanOut: this.#fanOut,
      rulesShown: this.#options.wireRules !== null,
      publishing: new Map(),
      unfinished: new Map(),
    }
    this.#own = new OwnPublishes(this.#context)
    this.#slow = new SlowConsumers(limits.maxBufferedBytes)
    this.#connections = new Connections({
      options: this.#options,
      context: this.#context,
      turn,
      slow: this.#slow,
      windowEpoch: () => this.#windowEpoch,
    })
    const transportOf = parts.createTransport ?? createTransport
    this.#transport = transportOf(this.#options, this.#connections.events)
    this.#sweeper = new Sweeper(runtime, (error, what) => this.#journal.failed(error, what))
  }

  /** The Socket.IO server underneath, for what is not wrapped; `socket.user` is the authenticated user. */
  get io(): SocketIoServer {
    return this.#transport.io
  }

  /**
   * Serves on any `node:http` or `node:https` server, listening or not: Express, Fastify, Nest, Next …
   * Requests outside of `path` stay the application's. Resolves once the broker has started.
   */
  async attach(server: HttpServer | HttpsServer): Promise<void> {
    await this.#start()
    this.#refuseClosed()
    this.#transport.sessions.attach(server as HttpServer)
  }

  /** Serves on an HTTP server of its own. Port 0 takes a free one; gives the one that was taken. */
  async listen(port: number, host?: string): Promise<{ port: number }> {
    const server = createServer((_request, response) => {
      response.writeHead(404).end()
    })
    await this.attach(server)
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(port, host, () => {
        server.off('error', reject)
        resolve()
      })
    })
    server.on('error', (error) => this.#journal.failed(error, 'the HTTP server'))
    this.#ownServers.push(server)
    // Closed meanwhile: nobody else would close it.
    if (this.#closed !== null) await this.#closeServers()
    this.#refuseClosed()
    return { port: (server.address() as AddressInfo).port }
  }

  /** Whether it serves: started, its broker takes publishes, and it is not closing. */
  get ready(): boolean {
    return this.#connections.accepting && this.#brokerUp
  }

  /**
   * Publishes as the server: free of rights and rates, not of the rule's schema; `onPublish` is for
   * clients' publishes. Retained and shown like any other publication [P6].
   *
   * @throws RealtimeError `invalid_topic` · `invalid_message` · `validation_failed` ·
   *   `payload_too_large` · `id_conflict` · `publish_failed` · `broker_unavailable` · `server_closing`
   */
  async publish(
    topic: string,
    payload: unknown,
    options: ServerPublishOptions = {},
  ): Promise<PublishAck> {
    const order = this.#orderOf(topic, payload, options)
    const accepted = await this.#own.publish(order, () => this.#start())
    const { epoch, seq, deliveredTo, duplicate } = accepted
    return { messageId: order.id, topic: order.topic, epoch, seq, deliveredTo, duplicate }
  }

  /** Publishes `{ level, message, data? }` to `system:notifications`, which every user may read [R4]. */
  broadcastSystemNotification(
    level: NotificationLevel,
    message: string,
    data?: unknown,
  ): Promise<PublishAck> {
    if (!NOTIFICATION_LEVELS.includes(level)) {
      const known = NOTIFICATION_LEVELS.join(', ')
      const text = `the level must be one of ${known}, got ${JSON.stringify(level)}`
      return Promise.reject(new RealtimeError('invalid_message', text))
    }
    const payload = { level, message, ...(data !== undefined && { data }) }
    return this.publish(NOTIFICATIONS_TOPIC, payload)
  }

  /**
   * A page of a topic's past, as clients can ask for it [W13].
   * @throws RealtimeError `invalid_topic` · `invalid_message` · `broker_unavailable`
   */
  async history<T = unknown>(topic: string, query: HistoryQuery = {}): Promise<HistoryPage<T>> {
    const parsed = parseTopic(topic)
    const checked = decodeHistoryQuery({ ...query })
    await this.#start()
    const page = await readHistory(this.#context, parsed, checked)
    return {
      topic: parsed,
      epoch: page.epoch,
      seq: page.head,
      ...(page.gap !== null && { gap: page.gap }),
      messages: page.publications.map((publication) => eventMessage<T>(publication)),
      more: page.more,
    }
  }

  /** The live connections, or those of one user. */
  connections(filter: { readonly userId?: string } = {}): ConnectionSnapshot[] {
    const { userId } = filter
    const live =
      userId === undefined ? this.#hub.connections.values() : this.#hub.connectionsOf(userId)
    return Array.from(live, connectionSnapshot)
  }

  /** The live channels, or those whose topic begins with `prefix`. */
  channels(filter: { readonly prefix?: string } = {}): ChannelStats[] {
    const prefix = (filter.prefix ?? '').normalize('NFC')
    return Array.from(this.#hub.channels.values())
      .filter(({ topic }) => topic.startsWith(prefix))
      .map(channelStats)
  }

  /** Figures of this server. `channelDetails`: how many of the busiest channels, default 1 000. */
  getStats(options: { readonly channelDetails?: number } = {}): ServerStats {
    return serverStats(
      {
        ...this.#context,
        slow: this.#slow,
        own: this.#own,
        uptimeMs: Math.round(this.#options.runtime.monotonicNow() - this.#startedAt),
      },
      options.channelDetails,
    )
  }

  /** Ends connections that were silent for longer than `timeoutMs` (default 5 min); gives how many. Also runs by itself [L10]. */
  cleanupStaleConnections(timeoutMs: number = this.#options.limits.staleAfterMs): number {
    integerOption('timeoutMs', timeoutMs, 0)
    return this.#connections.endStale(timeoutMs)
  }

  /** Drops the live state of channels without subscribers; gives how many. Also runs by itself after `emptyChannelTtlMs` [L12]. */
  cleanupEmptyChannels(): number {
    return this.#hub.dropEmpty(0)
  }

  /** Listens to what the service decides; gives the function that stops listening. */
  on<Name extends keyof ServiceEvents>(
    event: Name,
    listener: (event: ServiceEvents[Name]) => void,
  ): Cancel {
    return this.#journal.on(event, listener)
  }

  /**
   * Ends every connection (`server_closing`: clients come back, to another server), closes the broker
   * and, where `listen` made one, the HTTP server. An attached HTTP server stays the application's.
   */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  #orderOf(topic: string, payload: unknown, { id, from }: ServerPublishOptions): PublishOrder {
    if (id !== undefined && !isMessageId(id)) {
      throw new RealtimeError('invalid_message', 'id must be 1 to 64 of [A-Za-z0-9_-]')
    }
    const fault = from === undefined ? null : userIdFault(from)
    if (fault !== null) throw new RealtimeError('invalid_message', `from: ${fault}`)
    return {
      topic: parseTopic(topic),
      payload,
      id: id ?? this.#options.runtime.id(),
      from: from ?? null,
    }
  }

  #start(): Promise<void> {
    if (this.#closed !== null) return Promise.reject(closingError())
    this.#started ??= this.#startBroker()
    return this.#started
  }

  #refuseClosed(): void {
    if (this.#closed !== null) throw closingError()
  }

  async #startBroker(): Promise<void> {
    const { broker, limits, brokerLimits, runtime, logger } = this.#options
    const { windowEpoch } = await broker.start(
      {
        publication: (publication) => {
          try {
            this.#fanOut.publication(publication)
          } catch (error) {
            this.#journal.failed(error, `fan-out of ${publication.topic}`)
          }
        },
        lost: (topic) => this.#catchUp(topic),
        state: (state) => {
          this.#brokerUp = state === 'up'
          logger.info('broker', { state })
        },
      },
      { limits: brokerLimits, runtime, logger },
    )
    this.#windowEpoch = windowEpoch
    // Closed while the broker started: whoever closes waits for this, and closes the broker.
    this.#refuseClosed()
    this.#brokerUp = true
    this.#connections.accepting = true
    this.#sweeper.every(SLOW_SWEEP_MS, 'slow readers', () => {
      this.#slow.sweep(Array.from(this.#hub.connections.values()), runtime.monotonicNow())
    })
    this.#sweeper.every(limits.sweepIntervalMs, 'stale connections and empty channels', () => {
      this.#connections.endExpired()
      this.#connections.endStale(limits.staleAfterMs)
      this.#hub.dropEmpty(limits.emptyChannelTtlMs)
    })
  }

  #catchUp(topic: string): void {
    const channel = this.#hub.channels.get(topic)
    if (channel === undefined) return
    catchUp(channel, this.#context).catch((error: unknown) => {
      this.#journal.failed(error, `catching up on ${topic}`)
    })
  }

  async #close(): Promise<void> {
    this.#connections.accepting = false
    this.#sweeper.stop()
    this.#connections.endAll(closingError())
    await this.#transport.sessions.close()
    await this.#closeServers()
    try {
      if (this.#started !== null) {
        // A start can take long (a directory that another process holds): the broker's end ends it.
        // Its failure was told to those who asked for the start.
        await Promise.all([this.#started.catch(() => undefined), this.#options.broker.close()])
      }
    } finally {
      this.#journal.clear()
    }
  }

  async #closeServers(): Promise<void> {
    await Promise.all(
      this.#ownServers.splice(0).map(
        (server) =>
          new Promise<void>((resolve) => {
            server.close(() => resolve())
            server.closeAllConnections()
          }),
      ),
    )
  }
}
