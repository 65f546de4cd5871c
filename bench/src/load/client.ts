import type { Dialect } from './dialect.js'
import { clientFrame } from './frames.js'
import { RawConnection } from './raw-connection.js'

export interface ClientHandlers {
  /** A message, `buffer[start … end)`, until the call returns. */
  readonly onMessage: (buffer: Buffer, start: number, end: number) => void
  /** A live connection has ended; not called after `close`. */
  readonly onEnd: (why: string) => void
}

/** Called with the acknowledgement's text. */
type OnAck = (text: string) => void

/** The connection ended before an answer came. */
export class ConnectionLost extends Error {}

/** One connection with a token of its own, that sends requests and hands on what it gets. */
export class Client {
  readonly #dialect: Dialect
  readonly #handlers: ClientHandlers
  readonly #connection: RawConnection
  readonly #token: string
  readonly #answers = new Map<number, OnAck>()
  readonly #requests = new Set<(error: ConnectionLost) => void>()
  #outgoing: Buffer[] = []
  #reading = false
  #nextId = 1
  #ready: (() => void) | null = null
  #refused: ((error: Error) => void) | null = null
  #closed = false

  private constructor(port: number, dialect: Dialect, token: string, handlers: ClientHandlers) {
    this.#dialect = dialect
    this.#handlers = handlers
    this.#token = token
    this.#connection = new RawConnection(
      port,
      dialect.path,
      {
        onText: (buffer, start, end) => this.#onText(buffer, start, end),
        onReadEnd: () => this.#flush(),
        onEnd: (why) => this.#onEnd(why),
      },
      () => {
        if (dialect.greeting === null) this.#becomeReady()
      },
    )
  }

  /** Resolves when the server takes requests. */
  static async connect(
    port: number,
    dialect: Dialect,
    token: string,
    handlers: ClientHandlers,
  ): Promise<Client> {
    const client = new Client(port, dialect, token, handlers)
    await new Promise<void>((resolve, reject) => {
      client.#ready = resolve
      client.#refused = reject
    })
    return client
  }

  get bytesRead(): number {
    return this.#connection.bytesRead
  }

  /** Sends a request; those of one read of the socket leave together. */
  send(text: (id: number) => string, onAck: OnAck): void {
    const id = this.#nextId++
    this.#answers.set(id, onAck)
    this.#outgoing.push(clientFrame(text(id)))
    if (!this.#reading) this.#flush()
  }

  /**
   * Rejects with `ConnectionLost` where the connection ends before. `onAck` runs before anything that
   * came after the acknowledgement is looked at; what it throws rejects.
   */
  request(text: (id: number) => string, onAck?: OnAck): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#requests.add(reject)
      this.send(text, (ack) => {
        this.#requests.delete(reject)
        try {
          onAck?.(ack)
          resolve(ack)
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)))
        }
      })
    })
  }

  /** Several requests that leave with one write. */
  together(work: () => void): void {
    this.#reading = true
    work()
    this.#flush()
  }

  close(): void {
    this.#closed = true
    this.#connection.end('closed here')
  }

  #onText(buffer: Buffer, start: number, end: number): void {
    this.#reading = true
    switch (this.#dialect.kindOf(buffer, start, end)) {
      case 'message':
        this.#handlers.onMessage(buffer, start, end)
        return
      case 'ack':
        this.#onAck(buffer, start, end)
        return
      case 'ping':
        this.#outgoing.push(clientFrame(this.#dialect.pong))
        return
      case 'opened':
        this.#outgoing.push(clientFrame(this.#dialect.greeting?.(this.#token) ?? ''))
        return
      case 'ready':
        this.#becomeReady()
        return
      case 'refused':
        this.#connection.end(buffer.toString('utf8', start, end))
        return
      case 'other':
        return
    }
  }

  #onAck(buffer: Buffer, start: number, end: number): void {
    const text = buffer.toString('utf8', start, end)
    const id = Number.parseInt(text.slice(this.#dialect.ackIdAt, this.#dialect.ackIdAt + 12), 10)
    const onAck = this.#answers.get(id)
    if (onAck === undefined) throw new Error(`nobody waits for ${text}`)
    this.#answers.delete(id)
    onAck(text)
  }

  #becomeReady(): void {
    this.#refused = null
    this.#ready?.()
    this.#ready = null
  }

  #onEnd(why: string): void {
    const refused = this.#refused
    this.#refused = null
    for (const reject of this.#requests) reject(new ConnectionLost(why))
    this.#requests.clear()
    if (refused !== null) refused(new ConnectionLost(why))
    else if (!this.#closed) this.#handlers.onEnd(why)
  }

  #flush(): void {
    this.#reading = false
    if (this.#outgoing.length === 0) return
    const [only] = this.#outgoing
    const frames = this.#outgoing.length === 1 && only ? only : Buffer.concat(this.#outgoing)
    this.#outgoing = []
    this.#connection.send(frames)
  }
}
