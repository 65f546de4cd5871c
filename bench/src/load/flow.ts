import type { Contender } from '../servers/bench-server.js'
import type { Mark } from '../servers/serve.js'
import type { Measured, RunContext } from '../scenarios/scenario.js'
import { Audience } from './audience.js'
import { Publisher } from './publisher.js'
import { ServerProcess } from './server-process.js'
import { sleep, until } from './until.js'

/** A steady load: who reads what, and who publishes where. */
export interface Flow {
  readonly topics: number
  readonly readers: number
  /** Numbers of the topics of one reader. */
  readonly topicsOf: (reader: number) => readonly number[]
  /** The topics of each publisher; none has two. */
  readonly publishers: readonly (readonly number[])[]
  /** Publications that each publisher keeps un-acknowledged. */
  readonly window: number
  /** Topics that are open and quiet. */
  readonly quietTopics?: number
}

/** Of the measured time. */
const WARM_UP_SHARE = 0.5
/** Deliveries in a second of measuring, at least, before it: else a busy machine measures cold code. */
const WARM_UP_DELIVERIES = 65_000
/** What a publish costs beside its deliveries, in deliveries: roughly. */
const PUBLISH_WEIGHT = 5
const WARM_UP_LIMIT_MS = 20_000
/** Within [L4]. */
const QUIET_TOPICS_EACH = 500

export const topicName = (index: number): string => `bench:${index}`

/** Runs a flow and counts: every publication is acknowledged, every subscriber gets each one in order. */
export async function runFlow(
  flow: Flow,
  contender: Contender,
  context: RunContext,
): Promise<Measured> {
  const server = await ServerProcess.start(contender, context, {
    dataDir: context.dataDir,
  })
  try {
    const audience = new Audience(contender, server.port)
    await openQuietTopics(audience, flow.quietTopics ?? 0)
    await audience.joinAll(flow.readers, (reader) => flow.topicsOf(reader).map(topicName))
    const stage = new Stage(flow, audience, await joinPublishers(flow, audience))
    await stage.play(
      context.measureMs * WARM_UP_SHARE,
      (WARM_UP_DELIVERIES * context.measureMs) / 1_000,
    )
    const before = await server.mark()
    const played = await stage.play(context.measureMs)
    const measured = measuredOf(played, before, await server.mark())
    audience.close()
    await server.stop()
    return measured
  } finally {
    await server.kill()
  }
}

async function openQuietTopics(audience: Audience, count: number): Promise<void> {
  const clients = Math.ceil(count / QUIET_TOPICS_EACH)
  await audience.joinAll(
    clients,
    (client) =>
      Array.from(
        { length: Math.min(QUIET_TOPICS_EACH, count - client * QUIET_TOPICS_EACH) },
        (_, at) => `bench:quiet-${client * QUIET_TOPICS_EACH + at}`,
      ),
    'quiet',
  )
}

function joinPublishers(flow: Flow, audience: Audience): Promise<Publisher[]> {
  return Promise.all(
    flow.publishers.map(async (topics, at) => {
      const named = topics.map((index) => ({ index, name: topicName(index) }))
      const client = await audience.join(`publisher-${at}`)
      return new Publisher(client, audience.dialect, named, flow.window)
    }),
  )
}

interface Played {
  readonly published: number
  readonly delivered: number
  readonly bytes: number
  readonly seconds: number
}

/** Publishers before their audience. */
class Stage {
  readonly #audience: Audience
  readonly #publishers: readonly Publisher[]
  /** Deliveries that each topic's publications make. */
  readonly #perPublish: number

  constructor(flow: Flow, audience: Audience, publishers: readonly Publisher[]) {
    this.#audience = audience
    this.#publishers = publishers
    this.#perPublish = readersOfEachTopic(flow)
  }

  /** Publishes for a time and at least so much, then waits until the last message has come. */
  async play(ms: number, atLeast = 0): Promise<Played> {
    const sentBefore = this.#sent()
    const receivedBefore = this.#audience.received
    const bytesBefore = this.#audience.bytesRead
    const startedAt = performance.now()
    for (const publisher of this.#publishers) publisher.start()
    await sleep(ms)
    const weight = this.#perPublish + PUBLISH_WEIGHT
    const isEnough = (): boolean => (this.#sent() - sentBefore) * weight >= atLeast
    while (!isEnough() && performance.now() - startedAt < WARM_UP_LIMIT_MS) await sleep(10)
    for (const publisher of this.#publishers) publisher.stop()
    await until(
      () => this.#publishers.every((publisher) => publisher.isSettled()),
      () => 'acknowledgements',
    )
    const due = this.#sent() * this.#perPublish
    await until(
      () => {
        this.#audience.check()
        return this.#audience.received >= due
      },
      () => `${due} messages, of which ${this.#audience.received} came`,
    )
    if (this.#audience.received !== due) {
      throw new Error(`${this.#audience.received} messages came where ${due} were due`)
    }
    return {
      published: this.#sent() - sentBefore,
      delivered: this.#audience.received - receivedBefore,
      bytes: this.#audience.bytesRead - bytesBefore,
      seconds: (performance.now() - startedAt) / 1_000,
    }
  }

  #sent(): number {
    return this.#publishers.reduce((sum, publisher) => sum + publisher.sent, 0)
  }
}

/** Topics with publishers all have the same number of readers, so that counting stays exact and cheap. */
function readersOfEachTopic(flow: Flow): number {
  const readers = Array.from({ length: flow.topics }, () => 0)
  for (let reader = 0; reader < flow.readers; reader += 1) {
    for (const topic of flow.topicsOf(reader)) readers[topic] = (readers[topic] ?? 0) + 1
  }
  const [first = 0] = readers
  if (readers.some((count) => count !== first)) throw new Error('topics with unequal audiences')
  return first
}

function measuredOf(
  { published, delivered, bytes, seconds }: Played,
  from: Mark,
  to: Mark,
): Measured {
  const cpu = to.cpuSeconds - from.cpuSeconds
  return {
    ...(delivered > 0 && {
      cpuPerMillionDeliveries: (cpu / delivered) * 1e6,
      deliveriesPerSecond: delivered / seconds,
      bytesPerDelivery: bytes / delivered,
    }),
    cpuPerMillionPublishes: (cpu / published) * 1e6,
    publishesPerSecond: published / seconds,
    serverShare: cpu / seconds,
    longestTurnMs: to.longestTurnMs,
  }
}
