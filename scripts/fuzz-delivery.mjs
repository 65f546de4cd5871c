// @ts-check
// `npm run fuzz -- --runs 10000 [--from 1]`: generated runs of clients of all kinds on real sockets,
// each of which must get every message once and in order. Ends with 1 where one did not, and names
// the seeds; `--from <seed> --runs 1` makes that run again.
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { build as bundle } from 'esbuild'
import { build } from './build.mjs'
import { elapsed, ROOT, runMain } from './run.mjs'

const MOST_FINDINGS = 5
const BAR = 30
const SOURCE = join(ROOT, 'packages/server/src/testing/rig/delivery-fuzz.ts')
/** Inside of the package, so that its dependencies are found from there. */
const OUTPUT = join(ROOT, `packages/server/.cache/delivery-fuzz-${process.pid}.mjs`)

/** @typedef {(seed: number, tally: Map<string, number>) => Promise<string[]>} Fuzz */

/** What the tests of the server share is in no package: it is put together here. @returns {Promise<Fuzz>} */
async function compile() {
  await bundle({
    entryPoints: [SOURCE],
    outfile: OUTPUT,
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    target: 'node20',
    sourcemap: 'inline',
    logLevel: 'warning',
  })
  const { fuzzDelivery } = /** @type {{ fuzzDelivery: Fuzz }} */ (
    await import(pathToFileURL(OUTPUT).href)
  )
  return fuzzDelivery
}

/** @param {string} name @param {string} text @returns {number} */
function whole(name, text) {
  const value = Number(text)
  if (Number.isInteger(value) && value > 0) return value
  throw new Error(`--${name} must be a whole number above 0, got ${JSON.stringify(text)}`)
}

/** @param {number} done @param {number} all @param {number} startedAt @param {number} findings */
function show(done, all, startedAt, findings) {
  if (!process.stdout.isTTY) return
  const full = Math.round((done / all) * BAR)
  const bar = '█'.repeat(full) + '░'.repeat(BAR - full)
  process.stdout.write(
    `\r${bar} ${done} of ${all} runs, ${findings} findings, ${elapsed(startedAt)} `,
  )
}

/** @param {Map<string, number>} tally */
function summary(tally) {
  const rows = Array.from(tally).toSorted(([a], [b]) => a.localeCompare(b))
  const width = Math.max(0, ...rows.map(([what]) => what.length))
  return rows
    .map(([what, count]) => `  ${what.padEnd(width)} ${String(count).padStart(10)}\n`)
    .join('')
}

await runMain(async () => {
  const { values } = parseArgs({
    options: {
      runs: { type: 'string', default: '1000' },
      from: { type: 'string', default: '1' },
    },
  })
  const runs = whole('runs', values.runs)
  const from = whole('from', values.from)
  await build({ page: false })
  const fuzzDelivery = await compile()
  const startedAt = performance.now()
  /** @type {Map<string, number>} */
  const tally = new Map()
  let findings = 0
  let done = 0
  try {
    for (; done < runs && findings < MOST_FINDINGS; done += 1) {
      show(done, runs, startedAt, findings)
      const seed = from + done
      const faults = await fuzzDelivery(seed, tally)
      if (faults.length === 0) continue
      findings += 1
      const shown = faults.slice(0, 8).map((fault) => `  ${fault}\n`)
      process.stdout.write(`\nseed ${seed}: ${faults.length} faults\n${shown.join('')}`)
    }
  } finally {
    rmSync(OUTPUT, { force: true })
  }
  show(done, runs, startedAt, findings)
  process.stdout.write(
    `\n${summary(tally)}${done} runs, ${findings} with faults, in ${elapsed(startedAt)}\n`,
  )
  return findings === 0 ? 0 : 1
})
