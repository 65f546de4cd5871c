// @ts-check
// `npm run simulate -- --seeds 20000 [--from 1] [--operations 60]`: searches for a run of the
// simulated world in which a promise is broken, and says how often each fault struck. Ends with 1
// where it found one. `npm run simulate:mutations` shows that it would find them.
import { parseArgs } from 'node:util'
import { build } from './build.mjs'
import { showProgress, whole } from './long-run.mjs'
import { elapsed, runMain } from './run.mjs'

const MOST_FINDINGS = 5
/** Faults that are among the operations. */
const OPERATED = ['crash', 'replace', 'sleep', 'clock jump']

/** @param {number} done @param {number} all @param {number} startedAt @param {number} findings */
const show = (done, all, startedAt, findings) =>
  showProgress(done / all, `${done} of ${all} seeds, ${findings} findings, ${elapsed(startedAt)}`)

/**
 * Counts in two columns; a fault that never struck is among them.
 *
 * @param {import('@bmt-central/realtime-testing').Tally} tally
 * @param {object} faults
 */
function summary(tally, faults) {
  const never = Object.keys(faults).filter((fault) => tally.of(fault) === 0)
  const rows = [...tally.entries, ...never.map((fault) => /** @type {const} */ ([fault, 0]))]
  const width = Math.max(...rows.map(([what]) => what.length))
  const isFault = (/** @type {string} */ what) => what in faults || OPERATED.includes(what)
  const list = (/** @type {boolean} */ wanted) =>
    rows
      .filter(([what]) => isFault(what) === wanted)
      .map(([what, count]) => `  ${what.padEnd(width)} ${String(count).padStart(10)}`)
      .join('\n')
  return `how often each fault struck:\n${list(true)}\nwhat came of it:\n${list(false)}\n`
}

async function main() {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string', default: '1000' },
      from: { type: 'string', default: '1' },
      operations: { type: 'string', default: '60' },
    },
  })
  const seeds = whole('seeds', values.seeds)
  const from = whole('from', values.from)
  const operations = whole('operations', values.operations)
  await build({ page: false })
  const { ALL_FAULTS, describeFinding, hunt, Tally } =
    /** @type {typeof import('@bmt-central/realtime-testing')} */ (
      await import('../packages/testing/dist/index.js')
    )
  const startedAt = performance.now()
  /** @type {string[]} */
  const findings = []
  const tally = new Tally()
  let done = 0
  for (; done < seeds && findings.length < MOST_FINDINGS; done += 1) {
    if (done % 10 === 0) show(done, seeds, startedAt, findings.length)
    const finding = await hunt(from + done, { operations, tally })
    if (finding !== null) findings.push(describeFinding(finding))
  }
  show(done, seeds, startedAt, findings.length)
  const found = findings.length === 0 ? '' : `\n${findings.join('\n\n')}\n`
  process.stdout.write(
    `\n${found}${summary(tally, ALL_FAULTS)}${done} seeds of ${operations} operations, ${findings.length} with a broken promise, in ${elapsed(startedAt)}\n`,
  )
  return findings.length === 0 ? 0 : 1
}

await runMain(main)
