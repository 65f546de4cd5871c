import type { Measured, RunContext } from '../scenarios/scenario.js'
import type { Contender } from '../servers/bench-server.js'
import { quantile } from '../statistics.js'
import { Client } from './client.js'
import { topicName } from './flow.js'
import { Publisher } from './publisher.js'
import { restorerOf, type Restorer } from './restorer.js'
import { Returner } from './returner.js'
import { ServerProcess } from './server-process.js'
import { tokenOf } from './token.js'
import { until } from './until.js'

/** All clients lose their server and come back at once. */
export interface Storm {
  readonly clients: number
  readonly subscriptions: number
  readonly topics: number
  /** Messages of each topic that all clients have before. */
  readonly before: number
  /** Messages of each topic that are published while all are away. */
  readonly missed: number
}

/** Between publications of the storm itself: other users go on. */
const PUBLISH_EVERY_MS = 5
const WINDOW = 64
const JOINS_AT_ONCE = 200

/** The server is killed and started again; ends when everybody has every message. */
export async function runStorm(
  storm: Storm,
  contender: Contender,
  context: RunContext,
): Promise<Measured> {
  const start = (port: number): Promise<ServerProcess> =>
    ServerProcess.start(contender, context, { port, dataDir: context.dataDir })
  const restorer = restorerOf(contender)
  const first = await start(0)
  const crowd = crowdOf(storm, restorer)
  let second: ServerProcess | null = null
  try {
    await joinAll(crowd, first.port)
    const written = await publishRounds(storm, restorer, first.port, storm.before, [])
    await until(
      () => hasAll(crowd, written.numbers),
      () => 'messages before the storm',
    )
    await first.kill()
    await until(
      () => crowd.every((client) => client.isAway),
      () => 'the end of all connections',
    )
    second = await start(first.port)
    const missed = await publishRounds(storm, restorer, second.port, storm.missed, written.numbers)
    const measured = await measureStorm(crowd, second, missed)
    for (const client of crowd) client.leave()
    await second.stop()
    return measured
  } finally {
    for (const client of crowd) client.leave()
    await first.kill()
    await second?.kill()
  }
}

const crowdOf = ({ clients, subscriptions, topics }: Storm, restorer: Restorer): Returner[] =>
  Array.from({ length: clients }, (_, at) => {
    const own = Array.from(
      { length: subscriptions },
      (_u, nth) => (at * subscriptions + nth) % topics,
    )
    return new Returner(`client-${at}`, tokenOf(`client-${at}`), restorer, own)
  })

async function joinAll(crowd: readonly Returner[], port: number): Promise<void> {
  const waiting = [...crowd]
  const worker = async (): Promise<void> => {
    for (let client = waiting.pop(); client !== undefined; client = waiting.pop()) {
      await client.comeBack(port)
    }
  }
  await Promise.all(Array.from({ length: JOINS_AT_ONCE }, worker))
}

function hasAll(crowd: readonly Returner[], numbers: readonly number[]): boolean {
  for (const client of crowd) client.check()
  return crowd.every((client) => client.has(numbers))
}

/** So many more messages for each topic, all acknowledged. */
async function publishRounds(
  { topics }: Storm,
  { dialect }: Restorer,
  port: number,
  rounds: number,
  numbers: readonly number[],
): Promise<Publisher> {
  const client = await Client.connect(port, dialect, tokenOf('publisher'), {
    onMessage: () => undefined,
    onEnd: () => undefined,
  })
  const named = Array.from({ length: topics }, (_, index) => ({ index, name: topicName(index) }))
  const publisher = new Publisher(client, dialect, named, WINDOW, numbers)
  publisher.start()
  await until(
    () => publisher.sent >= topics * rounds - WINDOW,
    () => 'publications',
  )
  publisher.stop()
  while (publisher.sent < topics * rounds) publisher.publish()
  await until(
    () => publisher.isSettled(),
    () => 'acknowledgements',
  )
  return publisher
}

async function measureStorm(
  crowd: readonly Returner[],
  server: ServerProcess,
  publisher: Publisher,
): Promise<Measured> {
  const before = await server.mark()
  const startedAt = performance.now()
  const ticker = setInterval(() => publisher.publish(), PUBLISH_EVERY_MS)
  const times = await Promise.all(
    crowd.map(async (client) => {
      await client.comeBack(server.port)
      return performance.now() - startedAt
    }),
  )
  clearInterval(ticker)
  await until(
    () => publisher.isSettled() && hasAll(crowd, publisher.numbers),
    () => 'the last messages of the storm',
  )
  const seconds = (performance.now() - startedAt) / 1_000
  const after = await server.mark()
  const sorted = Float64Array.from(times).sort()
  return {
    cpuSeconds: after.cpuSeconds - before.cpuSeconds,
    seconds,
    medianBackMs: quantile(sorted, 0.5),
    lastBackMs: quantile(sorted, 1),
    refusals: crowd.reduce((sum, client) => sum + client.refusals, 0),
    longestTurnMs: after.longestTurnMs,
  }
}
