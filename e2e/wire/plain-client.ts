import { randomUUID } from 'node:crypto'
import { io, type ManagerOptions, type Socket, type SocketOptions } from 'socket.io-client'
import type { WireTarget } from './target.js'

export type Transport = 'websocket' | 'polling'

/** An object from the wire. */
export type Fields = Record<string, unknown>

/** Something that arrived, in the order of arrival; acknowledgements are named `ack:<event>`. */
export interface Arrival {
  readonly name: string
  readonly data: Fields
}

/** How long anything may take before a case fails with a reason instead of a time-out. */
const PATIENCE_MS = 10_000

/** An ordinary Socket.IO client and all that it has heard. Nothing of ours is in it. */
export class PlainClient {
  readonly socket: Socket
  readonly arrivals: Arrival[] = []
  readonly #waiting = new Set<() => void>()

  constructor(url: string, options: Partial<ManagerOptions & SocketOptions>) {
    this.socket = io(url, { forceNew: true, reconnection: false, ...options })
    this.socket.onAny((name: string, data: Fields) => this.#note({ name, data }))
    this.socket.on('disconnect', (reason) => this.#note({ name: 'disconnect', data: { reason } }))
    this.socket.on('connect_error', (error: Error & { data?: Fields }) =>
      this.#note({ name: 'connect_error', data: { message: error.message, data: error.data } }),
    )
  }

  #note(arrival: Arrival): void {
    this.arrivals.push(arrival)
    for (const check of Array.from(this.#waiting)) check()
  }

  /** Resolves when something has arrived that fits, now or earlier. */
  async heard(name: string, fits: (data: Fields) => boolean = () => true): Promise<Fields> {
    const find = () => this.arrivals.find((arrival) => arrival.name === name && fits(arrival.data))
    await this.until(() => find() !== undefined, name)
    return find()?.data ?? {}
  }

  /** Resolves when a condition on what has arrived is met. */
  until(condition: () => boolean, what: string): Promise<void> {
    if (condition()) return Promise.resolve()
    return new Promise((resolve, reject) => {
      const check = (): void => {
        if (condition()) finish(resolve)
      }
      const finish = (settle: () => void): void => {
        clearTimeout(timer)
        this.#waiting.delete(check)
        settle()
      }
      const timer = setTimeout(() => {
        const names = this.arrivals.map((arrival) => arrival.name).join(', ')
        finish(() => reject(new Error(`waited in vain for ${what}; arrived: ${names}`)))
      }, PATIENCE_MS)
      this.#waiting.add(check)
    })
  }

  /** Sends a request and waits for its acknowledgement. */
  async request(event: string, ...args: unknown[]): Promise<Fields> {
    return new Promise((resolve, reject) => {
      this.socket.timeout(PATIENCE_MS).emit(event, ...args, (error: Error | null, ack: Fields) => {
        if (error !== null) return reject(new Error(`no acknowledgement of ${event}`))
        this.#note({ name: `ack:${event}`, data: ack })
        resolve(ack)
      })
    })
  }

  /** Sends a request that wants no answer. */
  send(event: string, ...args: unknown[]): void {
    this.socket.emit(event, ...args)
  }

  subscribe(topic: string, more: object = {}): Promise<Fields> {
    return this.request('subscribe', { topic, ...more })
  }

  publish(topic: string, payload: unknown, more: object = {}): Promise<Fields> {
    return this.request('publish', { topic, payload, ...more })
  }

  /** The `message` events of a topic, so far. */
  messages(topic: string): Fields[] {
    return this.arrivals
      .filter(({ name, data }) => name === 'message' && data['topic'] === topic)
      .map(({ data }) => data)
  }

  /** Resolves when so many messages of a topic have arrived. */
  async received(topic: string, count: number): Promise<Fields[]> {
    await this.until(() => this.messages(topic).length >= count, `${count} messages of ${topic}`)
    return this.messages(topic)
  }
}

/** One case's clients, closed together when it ends. */
export class Clients {
  readonly #target: Pick<WireTarget, 'url' | 'token'>
  readonly #open: PlainClient[] = []

  constructor(target: Pick<WireTarget, 'url' | 'token'>) {
    this.#target = target
  }

  /** Connects without waiting, with whatever handshake is given. */
  dial(
    transport: Transport,
    auth: object,
    more: Partial<ManagerOptions & SocketOptions> = {},
  ): PlainClient {
    const client = new PlainClient(this.#target.url, { transports: [transport], auth, ...more })
    this.#open.push(client)
    return client
  }

  /** A connected client of a user of its own. */
  async connect(
    transport: Transport,
    who: { userId?: string; role?: string; permissions?: readonly string[]; client?: object } = {},
    more: Partial<ManagerOptions & SocketOptions> = {},
  ): Promise<PlainClient> {
    const { userId = freshName('user'), role, permissions, client } = who
    const token = this.#target.token(userId, role, permissions)
    const plain = this.dial(transport, { token, protocol: 1, ...(client && { client }) }, more)
    await plain.heard('connected')
    return plain
  }

  close(): void {
    for (const client of this.#open.splice(0)) client.socket.disconnect()
  }
}

/** A name that no other case uses. */
export function freshName(prefix: string): string {
  return `${prefix}-${randomUUID().slice(0, 13)}`
}

/** A topic that no other case uses, under one of the rules of `server-rules.ts`. */
export function freshTopic(rule: 'open' | 'short' | 'read' | 'live' | 'slow' = 'open'): string {
  return `wire:${rule}:${randomUUID()}`
}

/** What a group of cases is given. */
export interface Bench {
  readonly target: WireTarget
  readonly transport: Transport
  readonly clients: Clients
}
