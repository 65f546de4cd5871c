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
interface Pair {
  readonly ends: readonly [Socket, Socket]
  readonly pipes: Readonly<Record<Direction, Pipe>>
  /** The server's end is kept open though the client's is gone. */
  stranded: boolean
}

/** A line between client and server that a test can cut, stall and slow down. */
export class TcpProxy implements AsyncDisposable {
  readonly #server: Server
  readonly #target: () => number
  readonly #pairs = new Set<Pair>()
  readonly #stalled: Record<Direction, boolean> = { up: false, down: false }
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

  get connections(): number {
    return this.#pairs.size
  }

  /** Bytes that went through the connections there are. */
  bytes(direction: Direction): number {
    let total = 0
    for (const { pipes } of this.#pairs) total += pipes[direction].bytes
    return total
  }

  /** Ends every connection at once, without a farewell. New ones are let in. */
  cut(): void {
    for (const { ends } of this.#pairs) for (const end of ends) end.resetAndDestroy()
  }

  /** As `cut`, but the server does not notice: its ends stay open, and nothing comes of them. */
  strand(): void {
    for (const pair of this.#pairs) {
      pair.stranded = true
      pair.ends[0].resetAndDestroy()
    }
  }

  /** Nothing gets through any more, on connections that are there and on new ones. */
  stall(...directions: Direction[]): void {
    for (const direction of directions.length === 0 ? BOTH : directions) this.#set(direction, true)
  }

  /** What was stalled goes on where it stood. */
  flow(): void {
    for (const direction of BOTH) this.#set(direction, false)
  }

  /** Everything takes so long in each direction. */
  delay(ms: number): void {
    this.#delayMs = ms
    for (const { pipes } of this.#pairs) for (const way of BOTH) pipes[way].delayMs = ms
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

  #set(direction: Direction, stalled: boolean): void {
    this.#stalled[direction] = stalled
    for (const { pipes } of this.#pairs) pipes[direction].stall(stalled)
  }

  #accept(client: Socket): void {
    this.attempts += 1
    if (!this.#open) return void client.resetAndDestroy()
    const server = connect(this.#target(), '127.0.0.1')
    for (const end of [client, server]) end.setNoDelay(true)
    const pipes = { up: new Pipe(client, server), down: new Pipe(server, client) }
    const pair: Pair = { ends: [client, server], pipes, stranded: false }
    this.#pairs.add(pair)
    for (const way of BOTH) {
      pipes[way].delayMs = this.#delayMs
      if (this.#stalled[way]) pipes[way].stall(true)
    }
    const end = (): void => {
      for (const way of BOTH) pipes[way].stop()
      client.destroy()
      if (pair.stranded) return
      this.#pairs.delete(pair)
      server.destroy()
    }
    client.on('close', end)
    server.on('close', () => {
      pair.stranded = false
      end()
    })
    // A reset is what this is for; `close` follows.
    for (const socket of pair.ends) socket.on('error', () => undefined)
  }
}

const BOTH: readonly Direction[] = ['up', 'down']
