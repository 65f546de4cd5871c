import type { DiskBroker } from '@bmt-central/realtime-disk'
import { answerCommands } from '../process/channel.js'
import { DAY_MS, openStore, publishNumber, topicOf } from './store.js'

export interface StoreSize {
  readonly path: string
  readonly messages: number
  readonly topics: number
  /** How long the ids of the messages are remembered. */
  readonly windowMs: number
}

export type StoreCommand =
  | ({ readonly do: 'fill' } & StoreSize)
  | ({ readonly do: 'open' } & StoreSize)
  | { readonly do: 'close' }

/** How one start went, in a fresh process. */
export interface Opened {
  /** Until the broker was ready. */
  readonly startMs: number
  /** From there until a page of history came. */
  readonly firstReadMs: number
  /** And until a new publish was acknowledged. */
  readonly firstPublishMs: number
  readonly rssBytes: number
}

/** Publishes that are under way at once while a store is filled. */
const AT_ONCE = 4_000
const PAGE = { limit: 50, maxBytes: 262_144 }

/** Without waiting for the disk: what is measured is the store that comes of it, not the filling. */
async function fill({ path, messages, topics, windowMs }: StoreSize): Promise<DiskBroker> {
  const broker = await openStore(path, windowMs, 'interval')
  for (let from = 0; from < messages; from += AT_ONCE) {
    const numbers = Array.from({ length: Math.min(AT_ONCE, messages - from) }, (_, at) => from + at)
    await Promise.all(numbers.map((number) => publishNumber(broker, number, topics)))
  }
  return broker
}

async function open(size: StoreSize): Promise<{ broker: DiskBroker; opened: Opened }> {
  const { path, messages, topics, windowMs } = size
  const began = performance.now()
  const broker = await openStore(path, windowMs)
  const startMs = performance.now() - began
  const { retainedMessages } = broker.stats()
  if (retainedMessages < messages)
    throw new Error(`${retainedMessages} of ${messages} are retained`)
  const after = performance.now()
  const { publications } = await broker.read(topicOf(0, topics), PAGE)
  const firstReadMs = performance.now() - after
  if (publications.length !== PAGE.limit) throw new Error(`${publications.length} were read`)
  if (windowMs >= DAY_MS) {
    const resent = await publishNumber(broker, messages - 1, topics)
    if (!resent.duplicate) throw new Error('an id was forgotten')
  }
  const fresh = performance.now()
  await publishNumber(broker, Date.now(), topics)
  const firstPublishMs = performance.now() - fresh
  const rssBytes = process.memoryUsage.rss()
  return { broker, opened: { startMs, firstReadMs, firstPublishMs, rssBytes } }
}

function main(): void {
  let current: DiskBroker | null = null
  answerCommands<StoreCommand>(async (command) => {
    switch (command.do) {
      case 'fill':
        current = await fill(command)
        return null
      case 'open': {
        const { broker, opened } = await open(command)
        current = broker
        return opened
      }
      case 'close':
        await current?.close()
        return null
    }
  })
}

main()
