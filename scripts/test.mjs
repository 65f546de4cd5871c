// @ts-check
// `npm test`: sets up what it needs, runs every check and every test, goes on after a failure, and
// ends with `N passed, N failed`; each check counts as one test.
//
//   npm test                              everything
//   npm test -- --only format,lint        some checks (the ids below)
//   npm test -- packages/client outbox    vitest alone, with file patterns and its own flags
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from './build.mjs'
import { elapsed, requireNode, ROOT, run, runTool } from './run.mjs'
import { install, installSystemPackages } from './setup.mjs'

/** @typedef {{ passed: number, failed: number }} Counts */

/**
 * @typedef {object} Check
 * @property {string} id
 * @property {string} what
 * @property {() => Promise<Counts>} run
 */

const scratch = mkdtempSync(join(tmpdir(), 'realtime-test-'))

/**
 * A check that passes or fails as a whole. Its output is shown when it fails.
 *
 * @param {string} id
 * @param {string} what
 * @param {() => Promise<import('./run.mjs').RunResult>} work
 * @returns {Check}
 */
const check = (id, what, work) => ({
  id,
  what,
  run: async () => {
    const { code, output } = await work()
    if (code !== 0) process.stdout.write(output.endsWith('\n') ? output : `${output}\n`)
    return code === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 }
  },
})

/**
 * A program that runs many tests and leaves their numbers in a file.
 *
 * @param {string} id
 * @param {string} what
 * @param {string[]} args of Node
 * @returns {Check}
 */
const suite = (id, what, args) => ({
  id,
  what,
  run: async () => {
    const file = join(scratch, `${id}.json`)
    const { code } = await run(process.execPath, args, { env: { REALTIME_TEST_COUNTS: file } })
    const { passed, failed } = existsSync(file)
      ? /** @type {Counts} */ (JSON.parse(readFileSync(file, 'utf8')))
      : { passed: 0, failed: 0 }
    // A run that fails without a failed test, or runs none at all, has failed all the same.
    const unsaid = failed === 0 && (code !== 0 || passed === 0)
    if (unsaid) process.stdout.write(`${what}: exit code ${code} after ${passed} tests\n`)
    return { passed, failed: unsaid ? 1 : failed }
  },
})

const captured = /** @type {const} */ ({ output: 'capture' })
/** @param {string} name */
const script = (name) => () => run(process.execPath, [`scripts/${name}.mjs`], captured)
const VITEST = 'node_modules/vitest/vitest.mjs'

/** In this order: what is quick and says most comes first. @type {Check[]} */
const CHECKS = [
  check('format', 'formatting (prettier)', () =>
    runTool('prettier', ['--check', '--log-level', 'warn', '.'], captured),
  ),
  check('types', 'types (tsc)', () => runTool('tsc', ['-b', '--pretty', 'false'], captured)),
  check('lint', 'lint, walls and cycles (oxlint)', () =>
    runTool(
      'oxlint',
      ['-c', 'oxlint.config.mjs', 'packages', 'examples', 'e2e', 'bench', 'scripts'],
      captured,
    ),
  ),
  check('source', 'source rules', script('source-rules')),
  check('proof', 'planted faults are refused', script('lint-proof')),
  check('mutations', 'mutations of the simulation fit the sources', () =>
    run(process.execPath, ['scripts/simulate-mutations.mjs', '--dry'], captured),
  ),
  check('contract', 'rules of the contract against tests', script('contract-coverage')),
  check('docs', 'code blocks of the pages', script('compile-docs')),
  suite('pack', 'packed packages, as a user gets them', ['scripts/pack-check.mjs']),
  check('bench', 'the benchmark runs and counts exactly', () =>
    run(
      process.execPath,
      ['scripts/bench.mjs', '--quick', '--out', join(scratch, 'bench')],
      captured,
    ),
  ),
  suite('unit', 'tests of the packages', [
    VITEST,
    'run',
    ...['protocol', 'client', 'server', 'testing', 'disk', 'cli', 'playground', 'bench'].map(
      (name) => `--project=${name}`,
    ),
  ]),
  suite('e2e', 'tests of two parties and more', [VITEST, 'run', '--project=e2e']),
]

/** @param {string[]} args @returns {Check[]} what the command line asks for */
function selected(args) {
  if (args.length === 0) return CHECKS
  const only = args[0] === '--only' ? args[1] : /^--only=(.*)$/.exec(args[0] ?? '')?.[1]
  if (only === undefined) return [suite('some', 'tests', [VITEST, 'run', ...args])]
  const ids = only.split(',')
  const unknown = ids.filter((id) => !CHECKS.some((candidate) => candidate.id === id))
  if (unknown.length > 0) {
    const known = CHECKS.map(({ id }) => id).join(', ')
    throw new Error(`--only: there is no ${unknown.join(', ')}; there are ${known}`)
  }
  return CHECKS.filter(({ id }) => ids.includes(id))
}

/** @param {Check[]} checks @returns {Promise<Counts>} */
async function runAll(checks) {
  await install()
  if (checks.some(({ id }) => id === 'e2e')) await installSystemPackages()
  const total = { passed: 0, failed: 0 }
  /** @type {string[]} */
  const broken = []
  /** @param {string} what @param {() => Promise<Counts>} work */
  const count = async (what, work) => {
    const startedAt = performance.now()
    process.stdout.write(`\n▶ ${what}\n`)
    const { passed, failed } = await work()
    total.passed += passed
    total.failed += failed
    if (failed > 0) broken.push(what)
    process.stdout.write(
      `${failed === 0 ? '✓' : '✗'} ${what}: ${passed} passed, ${failed} failed (${elapsed(startedAt)})\n`,
    )
  }
  await count('build', async () => {
    try {
      await build()
      return { passed: 1, failed: 0 }
    } catch (error) {
      process.stdout.write(`${error instanceof Error ? error.message : String(error)}\n`)
      return { passed: 0, failed: 1 }
    }
  })
  for (const { what, run: work } of checks) await count(what, work)
  if (broken.length > 0) process.stdout.write(`\nFailed: ${broken.join('; ')}\n`)
  return total
}

requireNode()
process.chdir(ROOT)
const startedAt = performance.now()
let counts = { passed: 0, failed: 1 }
try {
  counts = await runAll(selected(process.argv.slice(2)))
} catch (error) {
  process.stdout.write(`${error instanceof Error ? error.message : String(error)}\n`)
} finally {
  rmSync(scratch, { recursive: true, force: true })
}
process.stdout.write(
  `\nin ${elapsed(startedAt)}\n${counts.passed} passed, ${counts.failed} failed\n`,
)
process.exitCode = counts.failed === 0 ? 0 : 1
