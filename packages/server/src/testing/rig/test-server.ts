import type { ErrorCode, Logger, User } from '@bmt-central/realtime-protocol'
import type { Authenticate } from '../../auth/authenticate.js'
import type { ServiceEvents } from '../../journal.js'
import type { RealtimeServiceOptions } from '../../options.js'
import { RealtimeService, type ServiceParts } from '../../realtime-service.js'
import { PlainClient, type ClientOptions } from './plain-client.js'
import { SteeredRuntime } from './steered-runtime.js'

/** Who connects, and how. */
export interface Who {
  readonly userId?: string
  readonly role?: string
  readonly permissions?: readonly string[]
  /** ms since the Unix epoch. */
  readonly expiresAt?: number
  readonly instance?: string
  readonly attempt?: number
}

/** Tokens are the user itself as JSON: rights are tested here, not tokens. */
export const authenticateAnybody: Authenticate = ({ token }) => JSON.parse(token ?? 'null') as User

/** One line of the server's log. */
export interface LogLine {
  readonly level: keyof Logger
  readonly event: string
  readonly fields: Readonly<Record<string, unknown>>
}

/** A real service on a loopback port, its clock in the test's hand, and ordinary clients of it. */
export class TestServer implements AsyncDisposable {
  readonly service: RealtimeService
  readonly runtime: SteeredRuntime
  readonly log: LogLine[]
  url = ''
  readonly #clients: PlainClient[] = []
  readonly #events: { readonly name: string; readonly event: object }[] = []
  readonly #waiting = new Set<() => void>()

  private constructor(service: RealtimeService, runtime: SteeredRuntime, log: LogLine[]) {
    this.service = service
    this.runtime = runtime
    this.log = log
    for (const name of EVENT_NAMES) {
      service.on(name, (event) => {
        this.#events.push({ name, event })
        for (const check of Array.from(this.#waiting)) check()
      })
    }
  }

  static async start(
    options: Partial<RealtimeServiceOptions> = {},
    parts: Partial<ServiceParts> = {},
  ): Promise<TestServer> {
    const { runtime: given } = options
    const runtime = given instanceof SteeredRuntime ? given : new SteeredRuntime()
    const log: LogLine[] = []
    const service = new RealtimeService(
      {
        authenticate: authenticateAnybody,
        channels: [{ match: '*', subscribe: 'anyone', publish: 'anyone' }],
        runtime,
        logger: collectingLogger(log),
        ...options,
      },
      parts,
    )
    const server = new TestServer(service, runtime, log)
    const { port } = await service.listen(0, '127.0.0.1')
    server.url = `http://127.0.0.1:${port}`
    return server
  }

  /** Connects without waiting, with whatever handshake is given. */
  dial(auth: object, options: ClientOptions = {}): PlainClient {
    const client = new PlainClient(this.url, { transports: ['websocket'], auth, ...options })
    this.#clients.push(client)
    return client
  }

  /** Dials as a user. */
  dialAs({ instance, attempt, ...user }: Who, options: ClientOptions = {}): PlainClient {
    const token = JSON.stringify({ userId: 'ann', role: 'user', ...user })
    return this.dial(
      { token, ...(instance !== undefined && { client: { instance, attempt } }) },
      options,
    )
  }

  /** A connected client. */
  async connect(who: Who = {}, options: ClientOptions = {}): Promise<PlainClient> {
    const client = this.dialAs(who, options)
    await client.heard('connected')
    return client
  }

  /** What the service told its listeners of one kind, so far. */
  events<Name extends keyof ServiceEvents>(name: Name): ServiceEvents[Name][] {
    return this.#events
      .filter((one) => one.name === name)
      .map(({ event }) => event as ServiceEvents[Name])
  }

  /** Names of all that the service told its listeners, in order. */
  get eventNames(): string[] {
    return this.#events.map(({ name }) => name)
  }

  /** Codes of the refusals so far. */
  get deniedCodes(): ErrorCode[] {
    return this.events('denied').map(({ code }) => code)
  }

  /** Resolves when the service has told so many events of a kind; the runner's limit is the limit. */
  async told<Name extends keyof ServiceEvents>(
    name: Name,
    count: number = 1,
  ): Promise<ServiceEvents[Name][]> {
    while (this.events(name).length < count) {
      await new Promise<void>((resolve) => {
        const check = (): void => {
          this.#waiting.delete(check)
          resolve()
        }
        this.#waiting.add(check)
      })
    }
    return this.events(name)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.close()
    const closed = this.service.close()
    await turns()
    // Whoever does not answer the close has no more time than this.
    await this.runtime.advance(1_000)
    await closed
  }
}

const EVENT_NAMES = [
  'connection',
  'disconnect',
  'subscribe',
  'unsubscribe',
  'publish',
  'denied',
  'channel_open',
  'channel_empty',
  'error',
] as const

export function collectingLogger(lines: LogLine[]): Logger {
  const at =
    (level: keyof Logger) =>
    (event: string, fields: Readonly<Record<string, unknown>> = {}): void =>
      void lines.push({ level, event, fields })
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

/** Lets everything happen that is due in this and the next few turns of the event loop. */
export async function turns(count: number = 3): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise(setImmediate)
}
