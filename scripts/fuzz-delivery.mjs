// @ts-check
// `npm run fuzz -- --runs 10000 [--from 1]`: generated runs of clients of all kinds on real sockets,
// each of which must get every message once and in order. Ends with 1 where one did not, and names
// the seeds; `--from <seed> --runs 1` makes that run again.
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { build } from './build.mjs'
import { importBundled, showProgress, whole } from './long-run.mjs'
import { elapsed, ROOT, runMain } from './run.mjs'

const MOST_FINDINGS = 5
const SOURCE = join(ROOT, 'packages/server/src/testing/rig/delivery-fuzz.ts')
/** Inside of the package, so that its dependencies are found from there. */
const OUTPUT = join(ROOT, `packages/server/.cache/delivery-fuzz-${process.pid}.mjs`)

/** @typedef {(seed: number, tally: Map<string, number>) => Promise<string[]>} Fuzz */

/** @param {number} done @param {number} all @param {number} startedAt @param {number} findings */
const show = (done, all, startedAt, findings) =>
  showProgress(done / all, `${done} of ${all} runs, ${findings} findings, ${elapsed(startedAt)}`)

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
  const { fuzzDelivery } = /** @type {{ fuzzDelivery: Fuzz }} */ (
    await importBundled(SOURCE, OUTPUT)
  )
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
