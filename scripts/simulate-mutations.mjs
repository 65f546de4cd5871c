// @ts-check
// `npm run simulate:mutations [-- --seeds 2000] [--only <word>] [--dry]`: shows that the simulated
// world finds faults. Each mutation below is one line of the system put wrong, in a bundle of its
// own: the sources stay as they are. Ends with 1 where one of them is not found. `--dry` only looks
// whether each of them still fits the sources.
import { mkdirSync, readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { build } from 'esbuild'
import { whole } from './long-run.mjs'
import { elapsed, ROOT, runMain } from './run.mjs'

/**
 * @typedef {object} Mutation
 * @property {string} name
 * @property {string} file
 * @property {[from: string, to: string][]} edits each `from` has to be there exactly once
 */

/** @type {Mutation[]} */
const MUTATIONS = [
  {
    name: 'skip one replay message',
    file: 'packages/server/src/broker/stream.ts',
    edits: [
      [
        'part.filter((publication) => publication !== undefined)',
        'part.filter((publication, index) => publication !== undefined && index !== 3)',
      ],
    ],
  },
  {
    name: 'forget one entry of the idempotency window',
    file: 'packages/server/src/broker/accepted-ids.ts',
    edits: [
      [
        'generation.ids.add(key.id, accepted)',
        "if (!key.id.endsWith('-7')) generation.ids.add(key.id, accepted)",
      ],
    ],
  },
  {
    name: 'resend without `after`',
    file: 'packages/client/src/publishing/publisher.ts',
    edits: [
      [
        'const after = lane.predecessor?.id',
        'const after = entry.orphaned ? undefined : lane.predecessor?.id',
      ],
    ],
  },
  {
    name: 'resend after a sleep longer than the window',
    file: 'packages/client/src/publishing/publisher.ts',
    edits: [
      [
        'if (entry.window === windowOf(session) && ageMs <= windowMs - WINDOW_RESERVE_MS) return null',
        'if (entry.window === windowOf(session) && ageMs <= windowMs * 1e6) return null',
      ],
    ],
  },
  {
    name: 'resend after a sleep that the clock has not counted',
    file: 'packages/protocol/src/runtime.ts',
    edits: [['    runtime.wallNow() - instant.wallAt,\n', '']],
  },
  {
    name: 'advance the position after the listener instead of before',
    file: 'packages/client/src/subscriptions/subscription.ts',
    edits: [
      ['    this.position = positionOf(message)\n', ''],
      [
        "    this.#listeners.emit('message', received)\n",
        "    this.#listeners.emit('message', received)\n    this.position = positionOf(message)\n",
      ],
    ],
  },
  {
    name: 'drop the generation fence',
    file: 'packages/client/src/connection/driver.ts',
    edits: [
      ['packet: () => isCurrent() && this', 'packet: () => this'],
      ['event: (name, data) => isCurrent() && this', 'event: (name, data) => this'],
      ['down: (error) => isCurrent() && this', 'down: (error) => this'],
    ],
  },
  {
    name: 'drop the generation fence of events',
    file: 'packages/client/src/connection/driver.ts',
    edits: [['event: (name, data) => isCurrent() && this', 'event: (name, data) => this']],
  },
  {
    name: 'drop the generation fence of ends',
    file: 'packages/client/src/connection/driver.ts',
    edits: [['down: (error) => isCurrent() && this', 'down: (error) => this']],
  },
  {
    name: 'acknowledge before the commit',
    file: 'packages/testing/src/durable-broker.ts',
    edits: [
      [
        '    this.#working ??= this.#commitAll()\n    return result\n',
        `    this.#working ??= this.#commitAll()
    result.catch(() => undefined)
    const { epoch, head } = this.#store.committed.read(topic, { limit: 1, maxBytes: 1 })
    const before = [...this.#unsettled.values()].filter((each) => each.topic === topic).length
    return Promise.resolve({
      epoch, seq: head + before, timestamp: 0, duplicate: false, deliveredTo: 0,
    })
`,
      ],
    ],
  },
  {
    name: 'announce before the commit',
    file: 'packages/testing/src/durable-broker.ts',
    edits: [
      [
        '    this.#working ??= this.#commitAll()\n    return result\n',
        `    this.#working ??= this.#commitAll()
    const { epoch, head } = this.#store.committed.read(topic, { limit: 1, maxBytes: 1 })
    const before = [...this.#unsettled.values()].filter((each) => each.topic === topic).length
    const { payloadJson, payloadBytes } = draft
    this.#running().sink.publication({
      topic, id, from, epoch, seq: head + before, payloadJson, payloadBytes, timestamp: 0,
    })
    return result
`,
      ],
    ],
  },
  {
    name: 'resend although the server lost its window',
    file: 'packages/client/src/publishing/publisher.ts',
    edits: [
      [
        'if (entry.window === windowOf(session) && ageMs <= windowMs - WINDOW_RESERVE_MS) return null',
        'if (ageMs <= windowMs - WINDOW_RESERVE_MS) return null',
      ],
    ],
  },
  {
    name: 'let the next connection overtake what the last one left in progress',
    file: 'packages/server/src/requests/instance-order.ts',
    edits: [['const earlier = unfinished.get(key)', "const earlier = unfinished.get('')"]],
  },
  {
    name: 'keep quiet about a gap',
    file: 'packages/client/src/subscriptions/feed.ts',
    edits: [
      [
        'if (answer.gap !== undefined) this.#lose(answer.gap)',
        'if (answer.gap !== undefined) this.#position = { epoch: answer.gap.epoch, seq: answer.gap.to ?? 0 }',
      ],
    ],
  },
  {
    name: 'send on what was aborted',
    file: 'packages/client/src/publishing/outbox.ts',
    edits: [
      [
        "this.settle(entry, localError(entry, 'aborted', { message: 'aborted', cause }))",
        "entry.reject(localError(entry, 'aborted', { message: 'aborted', cause }))",
      ],
    ],
  },
  {
    name: 'let a listener that throws stop the others',
    file: 'packages/protocol/src/listeners.ts',
    edits: [
      [
        '        this.#report(error, name)\n      }\n    }\n',
        '        throw error\n      }\n    }\n',
      ],
    ],
  },
]

const WORLD = 'packages/testing/src/index.ts'
const OUT = '.cache/simulate'

/** Every name of ours is taken from the sources. @type {Record<string, string>} */
const ALIAS = Object.fromEntries(
  Object.entries({
    '@bmt-central/realtime-protocol/testing': 'protocol/src/testing/index.ts',
    '@bmt-central/realtime-server/broker': 'server/src/broker/index.ts',
    '@bmt-central/realtime-server/testing': 'server/src/testing/index.ts',
    '@bmt-central/realtime-protocol': 'protocol/src/index.ts',
    '@bmt-central/realtime-server': 'server/src/index.ts',
    '@bmt-central/realtime': 'client/src/index.ts',
  }).map(([name, path]) => [name, `${ROOT}packages/${path}`]),
)

/** @param {Mutation} mutation @returns {string} the mutated file */
function mutated({ name, file, edits }) {
  let text = readFileSync(`${ROOT}${file}`, 'utf8')
  for (const [from, to] of edits) {
    const count = text.split(from).length - 1
    if (count !== 1) throw new Error(`“${name}” does not fit ${file}: ${count} times ${from}`)
    text = text.replace(from, () => to)
  }
  return text
}

/** @param {Mutation} mutation @param {string} outfile */
async function bundle(mutation, outfile) {
  const contents = mutated(mutation)
  await build({
    entryPoints: [`${ROOT}${WORLD}`],
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    alias: ALIAS,
    external: ['socket.io', 'socket.io-client', 'engine.io', 'jose'],
    logLevel: 'error',
    plugins: [
      {
        name: 'mutation',
        setup: (builder) =>
          builder.onLoad({ filter: /\.ts$/ }, ({ path }) =>
            path === `${ROOT}${mutation.file}` ? { contents, loader: 'ts' } : undefined,
          ),
      },
    ],
  })
  return /** @type {typeof import('@bmt-central/realtime-testing')} */ (await import(outfile))
}

/**
 * The first seed that finds it; null where none does.
 *
 * @param {typeof import('@bmt-central/realtime-testing')} world
 * @param {number} seeds
 */
async function firstFinding({ simulate }, seeds) {
  for (let seed = 1; seed <= seeds; seed += 1) {
    try {
      const [violation] = await simulate({ seed }).run({ operations: 60 })
      if (violation !== undefined) return { seed, violation }
    } catch (error) {
      return { seed, violation: `the world ended with ${String(error)}` }
    }
  }
  return null
}

async function main() {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string', default: '2000' },
      only: { type: 'string', default: '' },
      dry: { type: 'boolean', default: false },
    },
  })
  const seeds = whole('seeds', values.seeds)
  const chosen = MUTATIONS.filter(({ name }) => name.includes(values.only))
  if (chosen.length === 0) throw new Error(`--only ${values.only} names none of them`)
  if (values.dry) {
    for (const mutation of chosen) mutated(mutation)
    return 0
  }
  mkdirSync(`${ROOT}${OUT}`, { recursive: true })
  let missed = 0
  for (const [index, mutation] of chosen.entries()) {
    const startedAt = performance.now()
    const world = await bundle(mutation, `${ROOT}${OUT}/mutation-${index}.mjs`)
    const finding = await firstFinding(world, seeds)
    if (finding === null) missed += 1
    const what =
      finding === null
        ? `✗ not found in ${seeds} seeds`
        : `✓ seed ${finding.seed}: ${finding.violation.slice(0, 100)}`
    process.stdout.write(`${mutation.name}\n  ${what} (${elapsed(startedAt)})\n`)
  }
  process.stdout.write(`${chosen.length - missed} passed, ${missed} failed\n`)
  return missed === 0 ? 0 : 1
}

await runMain(main)
