import { RealtimeError, type RealtimeClient } from '@bmt-central/realtime'
import { seededRandom } from '@bmt-central/realtime-protocol/testing'
import { OPEN_RULE, World } from '../harness.js'
import type { TcpProxy } from '../proxy.js'
import { Reader } from '../reader.js'
import { toldLimits } from '../told-limits.js'
import { until, within } from '../until.js'
import type { Outcome, Said } from './judge.js'

/** Everything is retained; a hook that takes its time and fails; 15 publications are retained. */
export const TOPICS = ['open:whole', 'open:hook', 'open:short'] as const
const OPERATIONS = 120
const WRITERS = [0, 1, 3] as const
/** The first words of what the hook throws: that is meant to be reported. */
export const HICCUP = 'a hiccup of the database'

/** Chance, the same for one seed; when what happens is still up to the machine. */
interface Chance {
  readonly below: (count: number) => number
  readonly in: (count: number) => boolean
}

/** Four people who all read everything, three of whom write, each over a line of its own. */
interface Crowd {
  readonly world: World
  readonly lines: readonly TcpProxy[]
  readonly clients: readonly RealtimeClient[]
  readonly readers: readonly Reader<Said>[]
}

export interface Storm {
  readonly readers: readonly Reader<Said>[]
  readonly outcomes: readonly Outcome[]
  /** Publishes that were made, by topic. */
  readonly said: ReadonlyMap<string, number>
}

/** Lets people talk while their lines are cut, stalled and slow, and the server dies; then calm. */
export async function storm(
  world: World,
  options: { seed: number; crashes: number },
): Promise<Storm> {
  const random = seededRandom(options.seed)
  const below = (count: number): number => Math.floor(random() * count)
  const chance: Chance = { below, in: (count) => below(count) === 0 }
  const crowd = await gather(world)
  const publishing: Promise<Outcome>[] = []
  const said = new Map<string, number>()
  const crashEvery = Math.ceil(OPERATIONS / (options.crashes + 1))
  for (let operation = 1; operation <= OPERATIONS; operation += 1) {
    if (below(20) < 14) publishing.push(...talk(crowd, chance, said))
    else trouble(crowd.lines[below(crowd.lines.length)], chance)
    if (operation % crashEvery === 0 && operation < OPERATIONS) {
      await world.crash()
      await world.revive()
    }
    await pause(below(12))
  }
  for (const line of crowd.lines) {
    line.flow()
    line.delay(0)
  }
  const outcomes = await within(Promise.all(publishing), 'every publish to settle')
  await calm(crowd)
  return { readers: crowd.readers, outcomes, said }
}

/** The server for it: small pages and a small burst, so that both are used up. */
export function stormyWorld(chance: () => number): Promise<World> {
  return World.start({
    channels: [
      {
        ...OPEN_RULE,
        match: 'open:hook',
        onPublish: async () => {
          if (chance() < 0.3) await pause(5)
          if (chance() < 0.05) throw new Error(HICCUP)
        },
      },
      { ...OPEN_RULE, match: 'open:short', history: { size: 15 } },
      OPEN_RULE,
    ],
    limits: { maxPageMessages: 7, publishBurst: 60 },
  })
}

async function gather(world: World): Promise<Crowd> {
  const lines = await Promise.all(Array.from({ length: 4 }, () => world.line()))
  const clients = await Promise.all(
    lines.map(({ url }, index) =>
      world.join(`user-${index}`, {
        url,
        publishTimeoutMs: 400,
        // One is told limits that are not the server's, one has no WebSockets.
        ...(index === 1 && {
          parts: {
            createLink: toldLimits(url, { publishBurst: 10_000, publishesPerSecond: 10_000 }),
          },
        }),
        ...(index === 3 && { transports: ['polling'] }),
      }),
    ),
  )
  const readers = await Promise.all(
    clients.flatMap((client) => TOPICS.map((topic) => Reader.live<Said>(client, topic))),
  )
  return { world, lines, clients, readers }
}

/** Somebody publishes one to four messages at once. */
function talk(
  { clients }: Crowd,
  { below }: Chance,
  said: Map<string, number>,
): Promise<Outcome>[] {
  const writer = WRITERS[below(WRITERS.length)] ?? 0
  const topic = TOPICS[below(TOPICS.length)] ?? 'open:whole'
  return Array.from({ length: 1 + below(4) }, async () => {
    const key = `${topic} ${writer}`
    const number = (said.get(key) ?? 0) + 1
    said.set(key, number)
    const payload: Said = { writer, number }
    try {
      const ack = await clients[writer]?.publish(topic, payload)
      if (ack === undefined) throw new Error('there is no such writer')
      return { said: payload, topic, result: ack }
    } catch (error) {
      if (!(error instanceof RealtimeError)) throw error
      return { said: payload, topic, result: error }
    }
  })
}

function trouble(line: TcpProxy | undefined, chance: Chance): void {
  if (line === undefined) return
  switch (chance.below(5)) {
    case 0:
      return line.strand()
    case 1:
      return line.delay(chance.below(20))
    case 2: {
      line.stall(chance.in(2) ? 'down' : 'up')
      const cut = !chance.in(3)
      setTimeout(() => {
        if (cut) line.cut()
        line.flow()
      }, chance.below(60))
      return
    }
    default:
      return line.cut()
  }
}

/** Everybody is back and has everything that there is. */
async function calm({ world, readers }: Crowd): Promise<void> {
  const last = new Map<string, { epoch: string; seq: number }>()
  for (const topic of TOPICS) {
    last.set(topic, await world.service.publish(topic, { writer: -1, number: 1 }))
  }
  const isThere = ({ subscription, messages }: Reader<Said>): boolean => {
    const [wanted, got] = [last.get(subscription.topic), messages.at(-1)]
    return got?.epoch === wanted?.epoch && got?.seq === wanted?.seq
  }
  await until(
    () => readers.every(isThere),
    'everybody to have the last message of each topic',
    () => readers.filter((heard) => !isThere(heard)).map(({ log }) => log.slice(-3)),
  )
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
