import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'

/** `up`: from the client to the server. */
type Direction = 'up' | 'down'

/** One way of one connection. */
class Pipe {
  readonly #from: Socket
  readonly #to: Socket
  readonly #waiting: { chunk: Buffer; dueAt: number }[] = []
  #delayMs = 0
  #stalled = false
  #timer: NodeJS.Timeout | undefined
  bytes = 0

  constructor(from: Socket, to: Socket) {
    this.#from = from
    this.#to = to
    from.on('data', (chunk: Buffer) => this.#take(chunk))
    from.on('end', () => this.#finish())
    to.on('drain', () => this.#listen())
  }

  set delayMs(ms: number) {
    this.#delayMs = ms
  }

  /** Nothing gets through, nothing is lost: as where a cable is pulled out for a while. */
  stall(stalled: boolean): void {
    this.#stalled = stalled
    if (stalled) this.#from.pause()
    else this.#pump()
  }

  get stalled(): boolean {
    return this.#stalled
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#waiting.length = 0
  }

  #take(chunk: Buffer): void {
    const previous = this.#waiting.at(-1)?.dueAt ?? 0
    const dueAt = Math.max(performance.now() + this.#delayMs, previous)
    this.#waiting.push({ chunk, dueAt })
    this.#pump()
  }

  #pump(): void {
    clearTimeout(this.#timer)
    if (this.#stalled) return
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      const leftMs = next.dueAt - performance.now()
      if (leftMs > 0) {
        this.#timer = setTimeout(() => this.#pump(), leftMs)
        return
      }
      this.#waiting.shift()
      this.bytes += next.chunk.length
      if (!this.#to.write(next.chunk)) this.#from.pause()
    }
    this.#listen()
  }

  #listen(): void {
    if (!this.#stalled && !this.#to.writableNeedDrain) this.#from.resume()
  }

  #finish(): void {
    if (this.#waiting.length === 0) this.#to.end()
    else this.#timer = setTimeout(() => this.#finish(), 1)
  }
}

/** One connection through the proxy. */
export class Wire {
  readonly #client: Socket
  readonly #server: Socket
  readonly #pipes: Readonly<Record<Direction, Pipe>>
  /** By which ways an end that is gone would be heard of. */
  readonly #gone = new Set<Direction>()
  /** The server's end is kept open though the client's is gone. */
  #stranded = false
  #tellEnded: () => void = () => undefined
  /** Both ends are gone. */
  readonly ended: Promise<void> = new Promise((resolve) => {
    this.#tellEnded = resolve
  })

  constructor(client: Socket, server: Socket, { delayMs }: { delayMs: number }) {
    this.#client = client
    this.#server = server
    this.#pipes = { up: new Pipe(client, server), down: new Pipe(server, client) }
    this.delay(delayMs)
    for (const end of [client, server]) {
      end.setNoDelay(true)
      // A reset is what this is for; `close` follows.
      end.on('error', () => undefined)
    }
    client.on('close', () => this.#hear('up'))
    server.on('close', () => this.#hear('down'))
  }

  /** Bytes that went through. */
  bytes(direction: Direction): number {
    return this.#pipes[direction].bytes
  }

  cut(): void {
    for (const end of [this.#client, this.#server]) end.resetAndDestroy()
  }

  strand(): void {
    this.#stranded = true
    for (const way of BOTH) this.#pipes[way].stop()
    this.#client.resetAndDestroy()
  }

  /** Nothing gets through any more, not even that an end is closed. */
  stall(...directions: Direction[]): void {
    for (const way of directions.length === 0 ? BOTH : directions) this.#pipes[way].stall(true)
  }

  /** What was stalled goes on where it stood. */
  flow(...directions: Direction[]): void {
    for (const way of directions.length === 0 ? BOTH : directions) {
      this.#pipes[way].stall(false)
      if (this.#gone.has(way)) this.#hear(way)
    }
  }

  delay(ms: number): void {
    for (const way of BOTH) this.#pipes[way].delayMs = ms
  }

  #hear(way: Direction): void {
    this.#gone.add(way)
    const all = this.#gone.size === BOTH.length
    if (!all && (this.#pipes[way].stalled || (this.#stranded && way === 'up'))) return
    for (const pipe of BOTH) this.#pipes[pipe].stop()
    for (const end of [this.#client, this.#server]) end.destroy()
    if (all) this.#tellEnded()
  }
}

/** A line between client and server that a test can cut, stall and slow down. */
export class TcpProxy implements AsyncDisposable {
  readonly #server: Server
  readonly #target: () => number
  readonly #wires = new Set<Wire>()
  readonly #stalled = new Set<Direction>()
  #delayMs = 0
  #open = true
  /** Connections that were tried, those that were turned away included. */
  attempts = 0

  private constructor(target: () => number) {
    this.#target = target
    this.#server = createServer((client) => this.#accept(client))
  }

  /** Leads to the port that `target` names when a connection is made. */
  static async start(target: () => number): Promise<TcpProxy> {
    const proxy = new TcpProxy(target)
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve))
    return proxy
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** The connections there are, the oldest first. */
  get wires(): readonly Wire[] {
    return [...this.#wires]
  }

  /** Bytes that went through the connections there are. */
  bytes(direction: Direction): number {
    return this.wires.reduce((total, wire) => total + wire.bytes(direction), 0)
  }

  /** Ends every connection at once, without a farewell. New ones are let in. */
  cut(): void {
    for (const wire of this.#wires) wire.cut()
  }

  /** As `cut`, but the server does not notice: its ends stay open, and nothing comes of them. */
  strand(): void {
    for (const wire of this.#wires) wire.strand()
  }

  /** Nothing gets through any more, on connections that are there and on new ones. */
  stall(...directions: Direction[]): void {
    for (const direction of directions.length === 0 ? BOTH : directions) {
      this.#stalled.add(direction)
      for (const wire of this.#wires) wire.stall(direction)
    }
  }

  /** What was stalled goes on where it stood. */
  flow(): void {
    this.#stalled.clear()
    for (const wire of this.#wires) wire.flow()
  }

  /** What is stalled stays so, but new connections flow. */
  flowAnew(): void {
    this.#stalled.clear()
  }

  /** Everything takes so long in each direction. */
  delay(ms: number): void {
    this.#delayMs = ms
    for (const wire of this.#wires) wire.delay(ms)
  }

  /** New connections are cut at once. */
  refuse(): void {
    this.#open = false
  }

  accept(): void {
    this.#open = true
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.refuse()
    this.cut()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #accept(client: Socket): void {
    this.attempts += 1
    if (!this.#open) return void client.resetAndDestroy()
    const server = connect(this.#target(), '127.0.0.1')
    const wire = new Wire(client, server, { delayMs: this.#delayMs })
    this.#wires.add(wire)
    void wire.ended.then(() => this.#wires.delete(wire))
    if (this.#stalled.size > 0) wire.stall(...this.#stalled)
  }
}

const BOTH: readonly Direction[] = ['up', 'down']
