import { parseArgs } from 'node:util'
import { SCENARIOS } from './scenarios/registry.js'
import type { Cell, Runner, Scenario } from './scenarios/scenario.js'

export const USAGE = `npm run bench -- [options]
  --only fan-out,rooms      scenarios; default: all
  --cells 200x1,1000x64     cells of those scenarios; default: all
  --runners ours,socket-io  who is measured; default: all
  --pairs 5                 how often each one runs, in turn
  --seconds 1.5             how long each steady load is measured
  --out DIR                 default bench/results
  --name NAME               of the result files; default: the date
  --data DIR                where durable brokers store; default: bench/.data
  --server-flags=--cpu-prof,--cpu-prof-dir=profiles   flags of Node for the servers
  --quick                   a smoke test of a few seconds
  --list                    scenarios and cells`

export interface Plan {
  readonly scenarios: readonly Scenario[]
  readonly pairs: number
  readonly measureMs: number
  readonly serverFlags: readonly string[]
  readonly out: string
  readonly name: string | null
  readonly data: string
}

function positive(name: string, text: string): number {
  const value = Number(text)
  if (Number.isFinite(value) && value > 0) return value
  throw new Error(`--${name} must be a number above 0, got ${JSON.stringify(text)}`)
}

const listOf = (text: string | undefined): string[] | null => text?.split(',') ?? null

/** What of a list was asked for; throws where something is not in it. */
function chosen<T>(
  all: readonly T[],
  idOf: (item: T) => string,
  wanted: readonly string[] | null,
): T[] {
  return wanted === null ? [...all] : all.filter((item) => wanted.includes(idOf(item)))
}

function refuseUnknown(name: string, wanted: readonly string[] | null, known: string[]): void {
  for (const id of wanted ?? []) {
    if (!known.includes(id)) {
      throw new Error(`--${name}: there is no ${id}; there are ${[...new Set(known)].join(', ')}`)
    }
  }
}

function narrow(
  scenario: Scenario,
  cells: readonly string[] | null,
  runners: readonly string[] | null,
): Scenario {
  const narrowed: Cell[] = chosen(scenario.cells, ({ id }) => id, cells).map((cell) => ({
    ...cell,
    runners: chosen<Runner>(cell.runners, (runner) => runner, runners),
  }))
  return { ...scenario, cells: narrowed.filter((cell) => cell.runners.length > 0) }
}

/** The plan that a command line asks for; null: it asks for the list of scenarios. */
export function planOf(args: readonly string[], defaults: Pick<Plan, 'out' | 'data'>): Plan | null {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string' },
      cells: { type: 'string' },
      runners: { type: 'string' },
      pairs: { type: 'string' },
      seconds: { type: 'string' },
      out: { type: 'string' },
      name: { type: 'string' },
      data: { type: 'string' },
      'server-flags': { type: 'string' },
      quick: { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
    },
  })
  if (values.list) return null
  const only = values.quick
    ? ['smoke']
    : (listOf(values.only) ?? SCENARIOS.map(({ id }) => id).filter((id) => id !== 'smoke'))
  const asked = chosen(SCENARIOS, ({ id }) => id, only)
  const cells = listOf(values.cells)
  const runners = listOf(values.runners)
  refuseUnknown(
    'only',
    only,
    SCENARIOS.map(({ id }) => id),
  )
  refuseUnknown(
    'cells',
    cells,
    asked.flatMap((scenario) => scenario.cells.map(({ id }) => id)),
  )
  refuseUnknown(
    'runners',
    runners,
    asked.flatMap((s) => s.cells.flatMap((cell) => cell.runners)),
  )
  return {
    scenarios: asked
      .map((scenario) => narrow(scenario, cells, runners))
      .filter((scenario) => scenario.cells.length > 0),
    pairs: Math.ceil(positive('pairs', values.pairs ?? (values.quick ? '1' : '5'))),
    measureMs: positive('seconds', values.seconds ?? (values.quick ? '0.2' : '1.5')) * 1_000,
    serverFlags: listOf(values['server-flags']) ?? [],
    out: values.out ?? defaults.out,
    name: values.name ?? null,
    data: values.data ?? defaults.data,
  }
}
