import type { Machine } from '../machine.js'
import type { CellRuns, Runs, ScenarioRuns } from '../runner.js'
import { summaryOf, type Summary } from '../statistics.js'

export interface RunnerResult {
  readonly runner: string
  /** By the key of the metric. */
  readonly metrics: Readonly<Record<string, Summary>>
  readonly failures: readonly string[]
}

export interface CellResult {
  readonly cell: string
  readonly runners: readonly RunnerResult[]
}

export interface ScenarioResult {
  readonly id: string
  readonly title: string
  /** Whom the others are compared with. */
  readonly reference: string
  readonly metrics: readonly { key: string; title: string; better: 'less' | 'more' }[]
  readonly cells: readonly CellResult[]
}

/** The JSON of one run of the benchmark. */
export interface Results {
  readonly machine: Machine
  readonly pairs: number
  readonly measureMs: number
  /** Flags of Node that all servers had. */
  readonly serverFlags: readonly string[]
  readonly scenarios: readonly ScenarioResult[]
}

function runnerResult({ runner, measured, failures }: Runs): RunnerResult {
  const keys = new Set(measured.flatMap((run) => Object.keys(run)))
  const metrics: Record<string, Summary> = {}
  for (const key of keys) {
    const values = measured.map((run) => run[key]).filter((value) => value !== undefined)
    metrics[key] = summaryOf(values.map((value) => Number(value.toPrecision(5))))
  }
  return { runner, metrics, failures }
}

const cellResult = ({ cell, runs }: CellRuns): CellResult => ({
  cell,
  runners: runs.map(runnerResult),
})

export const scenarioResult = ({ scenario, cells }: ScenarioRuns): ScenarioResult => ({
  id: scenario.id,
  title: scenario.title,
  reference: scenario.reference,
  metrics: [...scenario.metrics],
  cells: cells.map(cellResult),
})

export const failuresOf = (results: Results): string[] =>
  results.scenarios.flatMap(({ id, cells }) =>
    cells.flatMap(({ cell, runners }) =>
      runners.flatMap(({ runner, failures }) =>
        failures.map((failure) => `${id} ${cell} ${runner}: ${failure}`),
      ),
    ),
  )
