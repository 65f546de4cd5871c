import type { Measured, RunContext } from '../scenarios/scenario.js'
import type { Contender } from '../servers/bench-server.js'
import { quantile } from '../statistics.js'
import { Audience } from './audience.js'
import { topicName } from './flow.js'
import { Publisher } from './publisher.js'
import { ServerProcess } from './server-process.js'
import { sleep, until } from './until.js'

/** Publications at a rate that does not wait for the server. */
export interface FixedRate {
  readonly readers: number
  readonly publishesPerSecond: number
}

const LOOK_EVERY_MS = 1
const WARM_UP_MS = 1_000

/** Times of deliveries, from the moment at which each publication was due. */
class Times {
  readonly #due: number[] = []
  readonly #taken: number[] = []

  /** Publication `number` was due then. */
  expect(number: number, dueAt: number): void {
    this.#due[number] = dueAt
  }

  take(number: number): void {
    this.#taken.push(performance.now() - (this.#due[number] ?? Number.NaN))
  }

  measured(): Measured {
    const sorted = Float64Array.from(this.#taken).sort()
    return {
      p50Ms: quantile(sorted, 0.5),
      p99Ms: quantile(sorted, 0.99),
      p999Ms: quantile(sorted, 0.999),
      maxMs: quantile(sorted, 1),
    }
  }
}

/** Publishes on time; where it comes late itself, it catches up, and the delay counts. */
async function publishFor(
  publisher: Publisher,
  rate: number,
  ms: number,
  times: Times,
): Promise<void> {
  const startedAt = performance.now()
  const total = Math.round((rate * ms) / 1_000)
  for (let sent = 0; sent < total;) {
    const due = Math.floor(((performance.now() - startedAt) * rate) / 1_000)
    for (; sent < Math.min(due, total); sent += 1) {
      const number = (publisher.numbers[0] ?? 0) + 1
      times.expect(number, startedAt + (sent * 1_000) / rate)
      publisher.publish()
    }
    await sleep(LOOK_EVERY_MS)
  }
}

export async function runFixedRate(
  { readers, publishesPerSecond }: FixedRate,
  contender: Contender,
  context: RunContext,
): Promise<Measured> {
  const server = await ServerProcess.start(contender, context)
  try {
    const audience = new Audience(contender, server.port)
    await audience.joinAll(readers, () => [topicName(0)])
    const topics = [{ index: 0, name: topicName(0) }]
    const client = await audience.join('publisher')
    const publisher = new Publisher(client, audience.dialect, topics, 1)
    const play = async (ms: number): Promise<Times> => {
      const times = new Times()
      audience.onNumber = (_topic, number) => times.take(number)
      await publishFor(publisher, publishesPerSecond, ms, times)
      await until(
        () => {
          audience.check()
          return publisher.isSettled() && audience.received === publisher.sent * readers
        },
        () => `${publisher.sent * readers} messages, of which ${audience.received} came`,
      )
      return times
    }
    await play(WARM_UP_MS)
    const before = await server.mark()
    const times = await play(2 * context.measureMs)
    const after = await server.mark()
    audience.close()
    await server.stop()
    return {
      ...times.measured(),
      serverCpuSeconds: after.cpuSeconds - before.cpuSeconds,
    }
  } finally {
    await server.kill()
  }
}
