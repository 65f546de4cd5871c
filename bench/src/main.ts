import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { planOf, USAGE } from './command-line.js'
import { describeMachine } from './machine.js'
import { chooseCores } from './process/pinning.js'
import { chartSvg } from './report/chart.js'
import { failuresOf, scenarioResult, type Results } from './report/results.js'
import { resultsText } from './report/table.js'
import { runPlan } from './runner.js'
import { SCENARIOS } from './scenarios/registry.js'

const folder = (name: string): string => fileURLToPath(new URL(`../${name}`, import.meta.url))
/** Beside the sources, so that what is stored is on the same disk as they are. */
const DEFAULTS = { out: folder('results'), data: folder('.data') }

function listScenarios(): void {
  const lines = SCENARIOS.map(
    ({ id, title, cells }) => `${id}: ${title}\n  ${cells.map((cell) => cell.id).join(' ')}`,
  )
  process.stdout.write(`${USAGE}\n\n${lines.join('\n')}\n`)
}

/** Writes what was measured; returns the paths without their endings. */
function write(results: Results, out: string, name: string): string {
  mkdirSync(out, { recursive: true })
  const path = join(out, name)
  writeFileSync(`${path}.json`, `${JSON.stringify(results, null, 2)}\n`)
  writeFileSync(`${path}.md`, resultsText(results))
  writeFileSync(`${path}.svg`, chartSvg(results))
  return path
}

/** Exit code: 1 where a run failed, among others because a count was not exact. */
async function main(args: readonly string[]): Promise<number> {
  const plan = planOf(args, DEFAULTS)
  if (plan === null) {
    listScenarios()
    return 0
  }
  const cores = chooseCores()
  const machine = describeMachine(cores)
  const runs = await runPlan(plan, cores)
  const { pairs, measureMs, serverFlags } = plan
  const results: Results = {
    machine,
    pairs,
    measureMs,
    serverFlags,
    scenarios: runs.map(scenarioResult),
  }
  const path = write(results, plan.out, plan.name ?? machine.at.replaceAll(':', '-').slice(0, 19))
  process.stdout.write(`\n${resultsText(results)}\n${path}.{json,md,svg}\n`)
  const failures = failuresOf(results)
  for (const failure of failures) process.stdout.write(`failed: ${failure}\n`)
  return failures.length === 0 ? 0 : 1
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}
