import { createServer, type Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { inspect } from 'node:util'
import { RealtimeClient, type ClientParts, type RealtimeOptions } from '@bmt-central/realtime'
import {
  devAuth,
  RealtimeService,
  type Logger,
  type RealtimeServiceOptions,
} from '@bmt-central/realtime-server'
import { TcpProxy } from './proxy.js'
import { within } from './until.js'

/** A server's options; what is left out is as `World` needs it. A broker serves one start only. */
export type WorldOptions = Omit<Partial<RealtimeServiceOptions>, 'broker' | 'logger'>

/** A client's options, and what it stands on. */
export interface PersonOptions extends Partial<RealtimeOptions> {
  readonly parts?: Partial<ClientParts>
}

/** Short, so that no test waits for a second where a tenth proves the same. */
const QUICK_RECONNECT = { baseMs: 100, capMs: 200 } as const

/** Everybody who has a name may do everything below `open:`. */
export const OPEN_RULE = {
  match: 'open:*',
  subscribe: 'authenticated',
  publish: 'authenticated',
} as const

/**
 * A real server on the loopback, its clients and the lines between them: all of it ended together.
 * What either side reports as a failure fails the test, unless the test takes it.
 */
export class World implements AsyncDisposable {
  readonly #options: WorldOptions
  readonly #clients: RealtimeClient[] = []
  readonly #proxies: TcpProxy[] = []
  #running: Running
  #failures: string[] = []

  private constructor(options: WorldOptions) {
    this.#options = options
    this.#running = this.#make()
  }

  static async start(options: WorldOptions = {}): Promise<World> {
    const world = new World(options)
    await world.#running.listen(0)
    return world
  }

  get service(): RealtimeService {
    return this.#running.service
  }

  get port(): number {
    return this.#running.port
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  /** A client of this user, not connected. A name may be a whole token of `devAuth`, without `dev:`. */
  client(name: string, { parts, ...options }: PersonOptions = {}): RealtimeClient {
    const client = new RealtimeClient(
      {
        url: this.url,
        auth: `dev:${name}`,
        reconnect: QUICK_RECONNECT,
        logger: this.#loggerOf(name),
        ...options,
      },
      parts,
    )
    this.#clients.push(client)
    return client
  }

  /** A connected client. */
  async join(name: string, options: PersonOptions = {}): Promise<RealtimeClient> {
    const client = this.client(name, options)
    await within(client.connect(), `${name} to connect`)
    return client
  }

  /** A line to the server, whichever is running. */
  async line(): Promise<TcpProxy> {
    const proxy = await TcpProxy.start(() => this.port)
    this.#proxies.push(proxy)
    return proxy
  }

  /** The server ends without a word, as where its process is killed. Its memory is lost. */
  async crash(): Promise<void> {
    await this.#running.kill()
  }

  /** The server ends as it should. */
  async stop(): Promise<void> {
    await this.#running.close()
  }

  /** Another server, with nothing known of the one before, on the same port. */
  async revive(): Promise<void> {
    const { port } = this.#running
    this.#running = this.#make()
    await this.#running.listen(port)
  }

  /** What was reported as a failure so far; it does not fail the test any more. */
  takeFailures(): string[] {
    const failures = this.#failures
    this.#failures = []
    return failures
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()))
    await Promise.all(this.#proxies.map((proxy) => proxy[Symbol.asyncDispose]()))
    await this.#running.close()
    if (this.#failures.length > 0) throw new Error(`reported: ${this.#failures.join('\n')}`)
  }

  #make(): Running {
    const service = new RealtimeService({
      authenticate: devAuth(),
      channels: [OPEN_RULE],
      ...this.#options,
      logger: this.#loggerOf('server'),
    })
    return new Running(service)
  }

  #loggerOf(who: string): Logger {
    const ignore = (): void => undefined
    return {
      debug: ignore,
      info: ignore,
      warn: ignore,
      error: (event, fields) => {
        this.#failures.push(`${who}: ${event} ${inspect(fields)}`)
      },
    }
  }
}

/** One start of the server. */
class Running {
  readonly service: RealtimeService
  readonly #http: Server
  readonly #sockets = new Set<Socket>()
  port = 0

  constructor(service: RealtimeService) {
    this.service = service
    this.#http = createServer((_request, response) => {
      response.writeHead(404).end()
    })
    this.#http.on('connection', (socket) => {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
    })
  }

  async listen(port: number): Promise<void> {
    await this.service.attach(this.#http)
    // For a moment somebody else may hold the port that the last server had.
    await retried(() => listening(this.#http, port), 'EADDRINUSE')
    this.port = (this.#http.address() as AddressInfo).port
  }

  async kill(): Promise<void> {
    const closed = new Promise((resolve) => this.#http.close(resolve))
    for (const socket of this.#sockets) socket.resetAndDestroy()
    await closed
    await this.service.close()
  }

  async close(): Promise<void> {
    await this.service.close()
    this.#http.closeAllConnections()
    if (this.#http.listening) await new Promise((resolve) => this.#http.close(resolve))
  }
}

const TRIES = 100
const PAUSE_MS = 50

/** Tries again while it fails with this code of the system's. */
async function retried(run: () => Promise<void>, code: string): Promise<void> {
  for (let left = TRIES; ; left -= 1) {
    try {
      return await run()
    } catch (error) {
      if (left === 0 || (error as NodeJS.ErrnoException).code !== code) throw error
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
    }
  }
}

function listening(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => {
      server.off('error', reject)
      resolve()
    })
  })
}
