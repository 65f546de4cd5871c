// How long a disk broker takes to start with many retained messages, after a clean end and after a
// kill. Every start is a process of its own: `node bench/disk/start-up.mjs --messages 1000000`.
// Nothing is dropped from the file cache of the system in between.
import { fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { silentLogger } from '@bmt-central/realtime-protocol'
import { DiskBroker } from '@bmt-central/realtime-disk'

const HERE = fileURLToPath(import.meta.url)
const KEEP = { delivery: 'recoverable', size: 1_000_000, ttlMs: 86_400_000, bytes: 2 ** 40 }
const LIMITS = { maxIdempotencyIds: 1_000_000, maxTopics: 100_000, maxRetainedBytes: 2 ** 40 }
const TEXT = JSON.stringify('.'.repeat(98))
/** Publishes that are under way at once while the store is filled. */
const AT_ONCE = 4_000

const RUNTIME = {
  wallNow: () => Date.now(),
  monotonicNow: () => performance.now(),
  random: () => Math.random(),
  id: () => randomBytes(16).toString('base64url'),
  after: (ms, run) => {
    const timer = ms <= 0 ? setImmediate(run) : setTimeout(run, ms).unref()
    return () => (ms <= 0 ? clearImmediate(timer) : clearTimeout(timer))
  },
}

/**
 * Fills a store and times its starts. `withinWindow`: all ids of the messages are remembered still,
 * which is the most that there can be to read; else none is.
 *
 * @param {{ messages: number, topics: number, withinWindow?: boolean, folder?: string }} options
 *   `folder`: an existing directory on the disk that is to be measured
 * @returns {Promise<{
 *   storeBytes: number, fillMs: number, clean: StartUp, killed: StartUp
 * }>}
 * @typedef {{ startMs: number, firstReadMs: number, firstPublishMs: number, duplicate: boolean, rssBytes: number }} StartUp
 *   `startMs`: until `start()` resolved; the others: from there on until a first page of history
 *   came, and until a publish was acknowledged; `duplicate`: a resend from before was known
 */
export async function measureStartUp({ messages, topics, withinWindow = true, folder = tmpdir() }) {
  const path = mkdtempSync(join(folder, 'realtime-start-up-'))
  const windowMs = withinWindow ? 86_400_000 : 1
  const facts = { path, messages, topics, windowMs }
  try {
    const { fillMs } = await inChild({ ...facts, task: 'fill' }, 'end')
    const clean = await inChild({ ...facts, task: 'start' }, 'kill')
    const killed = await inChild({ ...facts, task: 'start' }, 'end')
    return { storeBytes: statSync(join(path, 'store.lmdb')).size, fillMs, clean, killed }
  } finally {
    rmSync(path, { recursive: true, force: true })
  }
}

/** What a child said, which has ended by itself, or was killed. */
async function inChild(facts, end) {
  const child = fork(HERE, ['--child', JSON.stringify(facts)], { stdio: 'inherit' })
  const ended = new Promise((done) => {
    child.once('exit', (code, signal) => done({ code, signal }))
  })
  const said = new Promise((done) => child.once('message', done))
  const first = await Promise.race([said, ended])
  if (!('result' in first)) throw new Error(`a child ended: ${JSON.stringify(first)}`)
  if (end === 'kill') child.kill('SIGKILL')
  else child.send('close')
  const { code, signal } = await ended
  if (end === 'kill' ? signal !== 'SIGKILL' : code !== 0) {
    throw new Error(`a child ended with ${code ?? signal}`)
  }
  return first.result
}

async function child({ task, ...facts }) {
  const broker = new DiskBroker({ path: facts.path, idempotencyWindowMs: facts.windowMs })
  const run = { fill, start }[task]
  const result = await run(broker, facts)
  process.once('message', async () => {
    await broker.close()
    process.disconnect()
  })
  process.send({ result })
}

async function started(broker) {
  const sink = { publication: () => undefined, lost: () => undefined, state: () => undefined }
  const logger = { ...silentLogger, error: (event, facts) => console.error(event, facts) }
  const limits = { idempotencyWindowMs: 300_000, ...LIMITS }
  await broker.start(sink, { limits, runtime: RUNTIME, logger })
}

const topicOf = (number, topics) => `room:${number % topics}`

function publish(broker, number, topics) {
  const id = `message-${String(number).padStart(14, '0')}`
  const draft = { id, from: `user-${number % 5_000}`, payloadJson: TEXT, payloadBytes: TEXT.length }
  const hash = id.padEnd(43, '_')
  return broker.publish(topicOf(number, topics), { ...draft, hash }, KEEP)
}

async function fill(broker, { messages, topics }) {
  await started(broker)
  const began = performance.now()
  for (let from = 0; from < messages; from += AT_ONCE) {
    const count = Math.min(AT_ONCE, messages - from)
    await Promise.all(
      Array.from({ length: count }, (_, index) => publish(broker, from + index, topics)),
    )
  }
  return { fillMs: performance.now() - began }
}

async function start(broker, { messages, topics }) {
  const began = performance.now()
  await started(broker)
  const startMs = performance.now() - began
  const { retainedMessages } = broker.stats()
  if (retainedMessages < messages) throw new Error(`only ${retainedMessages} are retained`)
  const after = performance.now()
  await broker.read(topicOf(0, topics), { limit: 50, maxBytes: 262_144 })
  const firstReadMs = performance.now() - after
  const { duplicate } = await publish(broker, messages - 1, topics)
  await publish(broker, Math.floor(performance.timeOrigin + performance.now()), topics)
  const firstPublishMs = performance.now() - after
  return { startMs, firstReadMs, firstPublishMs, duplicate, rssBytes: process.memoryUsage.rss() }
}

async function main() {
  const { values } = parseArgs({
    options: {
      messages: { type: 'string', default: '1000000' },
      topics: { type: 'string', default: '1000' },
      folder: { type: 'string', default: tmpdir() },
      child: { type: 'string' },
    },
  })
  if (values.child !== undefined) return child(JSON.parse(values.child))
  // The most that there can be, and what there is when nobody has published for a while.
  for (const withinWindow of [true, false]) {
    const [messages, topics] = [Number(values.messages), Number(values.topics)]
    const { folder } = values
    const figures = await measureStartUp({ messages, topics, withinWindow, folder })
    console.log(JSON.stringify({ withinWindow, ...figures }, null, 2))
  }
}

if (process.argv[1] === HERE) await main()
