import { randomUUID } from 'node:crypto'
import { silentLogger } from '@bmt-central/realtime-protocol'
import { DiskBroker } from '@bmt-central/realtime-disk'
import type { Accepted, BrokerSink, StreamPolicy } from '@bmt-central/realtime-server/broker'
import type { Runtime } from '@bmt-central/realtime-server'

const MUCH = 2 ** 40
export const DAY_MS = 86_400_000
const USERS = 5_000
/** 100 bytes of JSON. */
const TEXT = JSON.stringify('.'.repeat(98))

const KEEP_ALL: StreamPolicy = {
  delivery: 'recoverable',
  size: 1_000_000,
  ttlMs: DAY_MS,
  bytes: MUCH,
}

const SINK: BrokerSink = {
  publication: () => undefined,
  lost: () => undefined,
  state: () => undefined,
}

const RUNTIME: Runtime = {
  wallNow: () => Date.now(),
  monotonicNow: () => performance.now(),
  random: () => Math.random(),
  id: () => randomUUID(),
  after: (ms, run) => {
    if (ms <= 0) {
      const turn = setImmediate(run)
      return () => clearImmediate(turn)
    }
    const timer = setTimeout(run, ms).unref()
    return () => clearTimeout(timer)
  },
}

export const topicOf = (number: number, topics: number): string => `room:${number % topics}`

/** A started broker that forgets no message, and ids after the window. */
export async function openStore(
  path: string,
  idempotencyWindowMs: number,
  fsync: 'always' | 'interval' = 'always',
): Promise<DiskBroker> {
  const limits = {
    idempotencyWindowMs,
    maxIdempotencyIds: 1_000_000,
    maxRetainedBytes: MUCH,
    maxTopics: 100_000,
  }
  const broker = new DiskBroker({ path, fsync, ...limits })
  const logger = {
    ...silentLogger,
    error: (event: string, fields?: object) =>
      void process.stderr.write(`${event} ${JSON.stringify(fields)}\n`),
  }
  await broker.start(SINK, { limits, runtime: RUNTIME, logger })
  return broker
}

/** Message `number`; once more it is a resend. */
export async function publishNumber(
  broker: DiskBroker,
  number: number,
  topics: number,
): Promise<Accepted> {
  const id = `message-${String(number).padStart(14, '0')}`
  return broker.publish(
    topicOf(number, topics),
    {
      id,
      from: `user-${number % USERS}`,
      payloadJson: TEXT,
      payloadBytes: TEXT.length,
      hash: id.padEnd(43, '_'),
    },
    KEEP_ALL,
  )
}
