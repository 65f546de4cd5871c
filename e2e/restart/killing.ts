import { readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { RealtimeClient, RealtimeError } from '@bmt-central/realtime'
import { seededRandom } from '@bmt-central/realtime-protocol/testing'
import { range } from '../reader.js'
import { until, within } from '../until.js'
import { KilledServer } from './killed-server.js'
import { Ledger } from './ledger.js'

const TOPIC = 'public:killed'
const IN_FLIGHT = 16
/** Acknowledgements between two kills, at least. */
const CALM = 20
const SOON_MS = 100

export interface KillingOptions {
  /** The server's directory. */
  readonly data: string
  /** The command line's program; default: where the tests find it. */
  readonly program?: string
  readonly seed: number
  readonly subscribers: number
  /** Whether there is to be another kill; asked before each of them. */
  readonly goOn: (report: KillReport) => boolean
}

/** One life of the server that was ended. */
export interface Life {
  /** ms from the kill to the next server's first word. */
  readonly startMs: number
  /** ms from the kill to the next acknowledgement. */
  readonly silentMs: number
  /** Bytes that its process held when it was killed; null where the system does not tell. */
  readonly rssBytes: number | null
}

export interface KillReport {
  readonly ledger: Ledger
  readonly lives: readonly Life[]
  /** ms from the loss of the server to being live again, of each reader each time. */
  readonly outagesMs: readonly number[]
  /** Publishes that were not acknowledged, by code. */
  readonly refused: readonly string[]
}

/**
 * A writer and readers on a server that is killed under load again and again, at moments of the
 * seed's: somewhere in a commit, an answer or a fan-out. Ends when everybody has heard everything.
 */
export async function killAgainAndAgain(options: KillingOptions): Promise<KillReport> {
  await using server = await KilledServer.start(options.data, options.program)
  const clients = range(0, options.subscribers).map(
    (place) =>
      new RealtimeClient({
        url: server.url,
        auth: `dev:person-${place}`,
        reconnect: { baseMs: 100, capMs: 200 },
      }),
  )
  try {
    return await killUnderLoad(server, clients, options)
  } finally {
    await Promise.all(clients.map((client) => client.close()))
  }
}

/** The first of the clients writes, the others read. */
async function killUnderLoad(
  server: KilledServer,
  clients: readonly RealtimeClient[],
  options: KillingOptions,
): Promise<KillReport> {
  const [writer, ...readers] = clients
  if (writer === undefined) throw new Error('there is no writer')
  const ledger = new Ledger(readers.length)
  const outagesMs: number[] = []
  const lives: Life[] = []
  const refused: string[] = []
  const report: KillReport = { ledger, lives, outagesMs, refused }
  await within(Promise.all(clients.map((client) => client.connect())), 'everybody to connect')
  const reading = readers.map((client, place) => listen(client, { place, ledger, outagesMs }))
  await within(Promise.all(reading), 'everybody to listen')

  const said = { count: 0, stop: false }
  const write = async (): Promise<void> => {
    while (!said.stop) {
      said.count += 1
      const number = said.count
      try {
        ledger.acknowledged(number, await writer.publish(TOPIC, number))
      } catch (error) {
        if (!(error instanceof RealtimeError)) throw error
        refused.push(error.code)
      }
    }
  }
  const writing = Promise.all(range(1, IN_FLIGHT).map(write))
  const random = seededRandom(options.seed)
  const calm = async (): Promise<void> => {
    const before = ledger.acknowledgements
    await until(() => ledger.acknowledgements >= before + CALM, 'acknowledgements')
  }
  await calm()
  while (options.goOn(report)) {
    await pause(random() * SOON_MS)
    lives.push(await killOnce(server, ledger))
    await calm()
  }
  said.stop = true
  await within(writing, 'the end of all publishes')
  // After a broken promise, the rest may never come.
  await until(() => ledger.complete || ledger.faults.length > 0, 'everybody to hear everything')
  return report
}

async function killOnce(server: KilledServer, ledger: Ledger): Promise<Life> {
  const rssBytes = rssOf(server.pid)
  const killedAt = performance.now()
  await server.kill()
  const before = ledger.acknowledgements
  await server.start()
  const startMs = performance.now() - killedAt
  await until(() => ledger.acknowledgements > before, 'the next acknowledgement')
  return { startMs, silentMs: performance.now() - killedAt, rssBytes }
}

async function listen(
  client: RealtimeClient,
  { place, ledger, outagesMs }: { place: number; ledger: Ledger; outagesMs: number[] },
): Promise<void> {
  let lostAt: number | null = null
  client.onConnection(({ status }) => {
    if (status === 'reconnecting') lostAt ??= performance.now()
  })
  const subscription = client.subscribe<number>(TOPIC, (message) => ledger.heard(place, message))
  subscription.on('gap', (gap) => ledger.gap(place, gap))
  subscription.on('subscribed', () => {
    if (lostAt !== null) outagesMs.push(performance.now() - lostAt)
    lostAt = null
  })
  await subscription.ready
}

/** What a process holds, where the system tells (Linux). */
function rssOf(pid: number | undefined): number | null {
  if (pid === undefined || process.platform !== 'linux') return null
  const found = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return found === null ? null : Number(found[1]) * 1_024
}
