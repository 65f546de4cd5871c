// Runs in the browser: a page that publishes and notes what becomes of it. It keeps nothing itself.
import {
  RealtimeClient,
  type ClientStats,
  type OutboxEvent,
  type RealtimeOptions,
} from '@bmt-central/realtime'

/** What a test does in the page. */
export interface OutboxPage {
  /** Makes a client that begins to connect. */
  start(options: RealtimeOptions): void
  listen(topic: string): void
  /** The ids of what came, in order; and of each gap that it is one. */
  heard(): string[]
  /** Its own promise is not looked at: `told` is what counts. */
  publish(topic: string, payload: unknown, id: string): void
  /** `id state`, and the code where it failed; in the order in which it was told. */
  told(): string[]
  warnings(): string[]
  stats(): ClientStats
  logOut(): Promise<void>
}

declare global {
  interface Window {
    outbox: OutboxPage
  }
}

function outboxPage(): OutboxPage {
  const told: string[] = []
  const warnings: string[] = []
  const heard: string[] = []
  const clients: RealtimeClient[] = []
  const client = (): RealtimeClient => {
    const [first] = clients
    if (first === undefined) throw new Error('start() comes first')
    return first
  }
  const hear = ({ id, state, error, ack }: OutboxEvent): void => {
    const why = error?.code ?? (ack?.duplicate === true ? 'duplicate' : undefined)
    told.push(why === undefined ? `${id} ${state}` : `${id} ${state} ${why}`)
  }
  const ignore = (): void => undefined
  return {
    start: (options) => {
      const made = new RealtimeClient({
        outboxStore: 'browser',
        transports: ['websocket'],
        reconnect: { baseMs: 100, capMs: 200 },
        logger: {
          debug: ignore,
          info: ignore,
          warn: (event) => warnings.push(event),
          error: ignore,
        },
        ...options,
      })
      clients.push(made)
      made.onOutbox(hear)
      // Offline it is tried again and again; a refusal shows in the statistics.
      made.connect().catch(ignore)
    },
    listen: (topic) => {
      const subscription = client().subscribe(topic, ({ id }) => heard.push(id))
      subscription.on('gap', ({ reason }) => heard.push(`gap ${reason}`))
      subscription.ready.catch(ignore)
    },
    heard: () => heard,
    publish: (topic, payload, id) => {
      client().publish(topic, payload, { id }).catch(ignore)
    },
    told: () => told,
    warnings: () => warnings,
    stats: () => client().getStats(),
    logOut: () => client().close(),
  }
}

window.outbox = outboxPage()
