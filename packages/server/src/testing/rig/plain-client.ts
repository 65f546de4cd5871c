import { io, type ManagerOptions, type Socket, type SocketOptions } from 'socket.io-client'

/** An object from the wire. */
export type Fields = Record<string, unknown>

/** Something that arrived; acknowledgements are named `ack:<event>`. */
export interface Arrival {
  readonly name: string
  readonly data: Fields
}

export type ClientOptions = Partial<ManagerOptions & SocketOptions>

/** How long anything may take before a test fails with a reason instead of a time-out. */
const PATIENCE_MS = 8_000

/** An ordinary Socket.IO client and all that it has heard, in order. Nothing of ours is in it. */
export class PlainClient {
  readonly socket: Socket
  readonly arrivals: Arrival[] = []
  readonly #waiting = new Set<() => void>()

  constructor(url: string, options: ClientOptions) {
    this.socket = io(url, { forceNew: true, reconnection: false, ...options })
    this.socket.onAny((name: string, data: Fields) => this.#note({ name, data }))
    this.socket.on('disconnect', (reason) => this.#note({ name: 'disconnect', data: { reason } }))
    this.socket.on('connect_error', (error: Error & { data?: Fields }) =>
      this.#note({ name: 'connect_error', data: { message: error.message, ...error.data } }),
    )
  }

  #note(arrival: Arrival): void {
    this.arrivals.push(arrival)
    for (const check of Array.from(this.#waiting)) check()
  }

  /** Resolves when something has arrived that fits, now or earlier. */
  async heard(name: string, fits: (data: Fields) => boolean = () => true): Promise<Fields> {
    const find = (): Arrival | undefined =>
      this.arrivals.find((arrival) => arrival.name === name && fits(arrival.data))
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
  request(event: string, ...args: unknown[]): Promise<Fields> {
    return new Promise((resolve, reject) => {
      this.socket.timeout(PATIENCE_MS).emit(event, ...args, (error: Error | null, ack: Fields) => {
        if (error !== null) return reject(new Error(`no acknowledgement of ${event}`))
        this.#note({ name: `ack:${event}`, data: ack })
        return resolve(ack)
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

  /** Resolves with the messages of a topic when there are so many. */
  async received(topic: string, count: number): Promise<Fields[]> {
    await this.until(() => this.messages(topic).length >= count, `${count} messages of ${topic}`)
    return this.messages(topic)
  }

  /** Every request sent so far has been carried out, and everything sent for it has arrived. */
  async caughtUp(): Promise<void> {
    await this.request('heartbeat', { timestamp: 0 })
  }

  close(): void {
    this.socket.disconnect()
  }
}

/** The payloads of messages or of an acknowledgement's `messages`. */
export function payloadsOf(messages: unknown): unknown[] {
  return (messages as Fields[]).map(({ payload }) => payload)
}
