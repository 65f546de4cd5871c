import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Plan } from './command-line.js'
import type { LoadCommand } from './load/main.js'
import { Child } from './process/channel.js'
import type { Cores } from './process/pinning.js'
import { Progress } from './progress.js'
import type { Cell, Measured, Runner, Scenario } from './scenarios/scenario.js'

const LOAD_MODULE = fileURLToPath(new URL('load/main.js', import.meta.url))
/** A run that takes longer has failed; filling a store with a million messages takes minutes. */
const RUN_LIMIT_MS = 1_200_000

/** All runs of one who was measured in one cell. */
export interface Runs {
  readonly runner: Runner
  readonly measured: Measured[]
  /** Of runs that failed, also where a count was not exact. */
  readonly failures: string[]
}

export interface CellRuns {
  readonly cell: string
  readonly runs: readonly Runs[]
}

export interface ScenarioRuns {
  readonly scenario: Scenario
  readonly cells: readonly CellRuns[]
}

/** Runs a plan: within a cell everybody in turn, then again in the other order, and so on. */
export async function runPlan(plan: Plan, cores: Cores): Promise<ScenarioRuns[]> {
  const runs = plan.scenarios.flatMap(({ cells }) => cells.map(({ runners }) => runners.length))
  const progress = new Progress(runs.reduce((sum, count) => sum + count, 0) * plan.pairs)
  const results: ScenarioRuns[] = []
  mkdirSync(plan.data, { recursive: true })
  for (const scenario of plan.scenarios) {
    const cells: CellRuns[] = []
    for (const cell of scenario.cells) {
      cells.push(await runCell(scenario, cell, plan, cores, progress))
    }
    results.push({ scenario, cells })
  }
  progress.close()
  return results
}

async function runCell(
  scenario: Scenario,
  cell: Cell,
  plan: Plan,
  cores: Cores,
  progress: Progress,
): Promise<CellRuns> {
  const runs: Runs[] = cell.runners.map((runner) => ({ runner, measured: [], failures: [] }))
  for (let pair = 0; pair < plan.pairs; pair += 1) {
    for (const { runner, measured, failures } of pair % 2 === 0 ? runs : runs.toReversed()) {
      const what = `${scenario.id} ${cell.id} ${runner}, ${pair + 1} of ${plan.pairs}`
      progress.begin(what)
      try {
        const result = await runOnce(scenario.id, cell.id, runner, plan, cores)
        measured.push(result)
        progress.end(`${what}: ${(result[scenario.metrics[0].key] ?? Number.NaN).toPrecision(3)}`)
      } catch (error) {
        failures.push(error instanceof Error ? error.message : String(error))
        progress.end(`${what}: FAILED: ${failures.at(-1)}`)
      }
    }
  }
  return { cell: cell.id, runs }
}

/** One run with fresh processes and a fresh directory. */
async function runOnce(
  scenario: string,
  cell: string,
  runner: Runner,
  plan: Plan,
  cores: Cores,
): Promise<Measured> {
  const dataDir = mkdtempSync(join(plan.data, 'run-'))
  const load = new Child({ module: LOAD_MODULE, core: cores.load })
  const { measureMs, serverFlags } = plan
  const context = { serverCore: cores.server, serverFlags, measureMs, dataDir }
  const command: LoadCommand = { scenario, cell, runner, context }
  const limit = setTimeout(() => void load.kill(), RUN_LIMIT_MS)
  try {
    return await load.ask<Measured>(command)
  } finally {
    clearTimeout(limit)
    await load.kill()
    rmSync(dataDir, { recursive: true, force: true })
  }
}
