// @ts-check
// `npm run soak -- [--minutes 10 | --kills 200] [--seed 1] [--subscribers 20] [--out bench/results]`:
// kills a real server under load again and again, and compares what everybody heard with what was
// acknowledged. Ends with 1 where a promise was broken. `npm test` has a short one of it. With
// `--out`, the figures of every kill are written there, as JSON and as a page with a chart.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { build } from './build.mjs'
import { importBundled, showProgress, whole } from './long-run.mjs'
import { elapsed, ROOT, runMain } from './run.mjs'
import { page } from './soak-page.mjs'

/**
 * @typedef {import('../e2e/restart/killing.ts').KillReport} KillReport
 * @typedef {import('../e2e/restart/killing.ts').Life} Life
 * @typedef {ReturnType<typeof figuresOf>} Figures
 */

const MINUTE_MS = 60_000
/** What the tests run, too. */
const SOURCE = join(ROOT, 'e2e/restart/killing.ts')
const BUNDLE = join(ROOT, '.cache/soak/killing.mjs')

/** @param {readonly number[]} values */
function spread(values) {
  const sorted = values.toSorted((one, other) => one - other)
  const at = (/** @type {number} */ share) =>
    Math.round(sorted[Math.floor((sorted.length - 1) * share)] ?? 0)
  return { count: sorted.length, p50: at(0.5), p95: at(0.95), max: at(1) }
}

/** @param {KillReport} report @param {{ seed: number, subscribers: number, tookMs: number }} run */
function figuresOf({ ledger, lives, outagesMs, refused }, run) {
  const memory = lives.flatMap(({ rssBytes }) => (rssBytes === null ? [] : [rssBytes]))
  const broken = [
    ...ledger.faults,
    ...ledger.unsettled,
    ...[...new Set(refused)].map(
      (code) => `${refused.filter((one) => one === code).length} publishes were refused: ${code}`,
    ),
  ]
  return {
    ...run,
    kills: lives.length,
    acknowledged: ledger.acknowledgements,
    delivered: ledger.deliveries,
    gaps: ledger.gaps,
    broken,
    startMs: spread(lives.map(({ startMs }) => startMs)),
    silentMs: spread(lives.map(({ silentMs }) => silentMs)),
    outageMs: spread(outagesMs),
    rssBytes: {
      first: memory[0] ?? null,
      last: memory.at(-1) ?? null,
      max: Math.max(0, ...memory),
    },
  }
}

/** @param {Figures} figures */
function summary(figures) {
  const { kills, acknowledged, delivered, gaps, broken, rssBytes } = figures
  const mib = (/** @type {number | null} */ bytes) =>
    bytes === null ? 'unknown' : `${(bytes / 1_048_576).toFixed(1)} MiB`
  const times = (/** @type {ReturnType<typeof spread>} */ { p50, p95, max }) =>
    `${p50} ms median, ${p95} ms at 95 %, ${max} ms at most`
  return [
    `${kills} kills, ${acknowledged} publishes acknowledged, ${delivered} messages delivered, ${gaps} gaps`,
    `from a kill to the next server:          ${times(figures.startMs)}`,
    `from a kill to the next acknowledgement: ${times(figures.silentMs)}`,
    `from the loss to live again, by reader:  ${times(figures.outageMs)}`,
    `memory of the server, when killed:       ${mib(rssBytes.first)} first, ${mib(rssBytes.last)} last, ${mib(rssBytes.max)} at most`,
    ...broken.map((text) => `BROKEN: ${text}`),
    `seed ${figures.seed}, ${broken.length} promises broken, in ${(figures.tookMs / 1_000).toFixed(1)} s`,
  ].join('\n')
}

/** @param {string} folder @param {Figures} figures @param {readonly Life[]} lives */
function write(folder, figures, lives) {
  mkdirSync(folder, { recursive: true })
  const file = join(folder, 'soak')
  writeFileSync(`${file}.json`, `${JSON.stringify({ ...figures, lives }, null, 2)}\n`)
  writeFileSync(`${file}.html`, page(summary(figures), lives))
  process.stdout.write(`written: ${file}.json, ${file}.html\n`)
}

async function main() {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string' },
      kills: { type: 'string' },
      seed: { type: 'string', default: '1' },
      subscribers: { type: 'string', default: '20' },
      out: { type: 'string' },
    },
  })
  const minutes = values.minutes === undefined ? null : whole('minutes', values.minutes)
  const unlessSaid = minutes === null ? 20 : Infinity
  const kills = values.kills === undefined ? unlessSaid : whole('kills', values.kills)
  const seed = whole('seed', values.seed)
  const subscribers = whole('subscribers', values.subscribers)
  await build({ page: false })
  const { killAgainAndAgain } = /** @type {typeof import('../e2e/restart/killing.ts')} */ (
    await importBundled(SOURCE, BUNDLE)
  )
  const folder = mkdtempSync(join(tmpdir(), 'realtime-soak-'))
  const startedAt = performance.now()
  const limitMs = (minutes ?? Infinity) * MINUTE_MS
  /** @param {KillReport} report */
  const goOn = ({ ledger, lives }) => {
    const ranMs = performance.now() - startedAt
    const share = Math.min(1, Math.max(lives.length / kills, ranMs / limitMs))
    showProgress(
      share,
      `${lives.length} kills, ${ledger.acknowledgements} acknowledged, ${ledger.faults.length} faults, ${elapsed(startedAt)}`,
    )
    return share < 1 && ledger.faults.length === 0
  }
  try {
    const report = await killAgainAndAgain({
      data: join(folder, 'data'),
      program: join(ROOT, 'packages/cli/bin/bmt-realtime.js'),
      seed,
      subscribers,
      goOn,
    })
    const figures = figuresOf(report, {
      seed,
      subscribers,
      tookMs: Math.round(performance.now() - startedAt),
    })
    process.stdout.write(`\n${summary(figures)}\n`)
    if (values.out !== undefined) write(values.out, figures, report.lives)
    return figures.broken.length === 0 ? 0 : 1
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

await runMain(main)
