import type { Machine } from '../machine.js'
import type { Summary } from '../statistics.js'
import { numberText } from './number-text.js'
import type { CellResult, Results, RunnerResult, ScenarioResult } from './results.js'

const cellText = (summary: Summary | undefined): string =>
  summary === undefined
    ? '–'
    : `${numberText(summary.median)} [${numberText(summary.min)}–${numberText(summary.max)}]`

/** `1/30` where less is better and it is a thirtieth, `×3` where it is three times as much. */
export function ratioText(value: Summary | undefined, reference: Summary | undefined): string {
  if (value === undefined || reference === undefined) return ''
  const ratio = value.median / reference.median
  if (ratio === 1) return ''
  return ratio < 1 ? `1/${numberText(1 / ratio)}` : `×${numberText(ratio)}`
}

function rowsOf(scenario: ScenarioResult, { cell, runners }: CellResult): string[][] {
  const primary = scenario.metrics[0]?.key ?? ''
  const reference = runners.find(({ runner }) => runner === scenario.reference)?.metrics[primary]
  return runners.map((result: RunnerResult, at) => [
    at === 0 ? cell : '',
    result.runner,
    ...scenario.metrics.map(({ key }) => cellText(result.metrics[key])),
    ratioText(result.metrics[primary], reference),
    result.failures.length === 0 ? '' : `${result.failures.length} FAILED`,
  ])
}

/** A table in Markdown, whose columns also line up on a terminal. */
function markdown(head: readonly string[], rows: readonly string[][]): string {
  const widths = head.map((title, at) =>
    Math.max(title.length, ...rows.map((row) => row[at]?.length ?? 0)),
  )
  const line = (row: readonly string[]): string =>
    `| ${row.map((text, at) => (at < 2 ? text.padEnd(widths[at] ?? 0) : text.padStart(widths[at] ?? 0))).join(' | ')} |`
  const rule = `|${widths.map((width, at) => (at < 2 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`
  return [line(head), rule, ...rows.map(line)].join('\n')
}

function scenarioText(scenario: ScenarioResult): string {
  const head = [
    'cell',
    'server',
    ...scenario.metrics.map(({ title }) => title),
    `to ${scenario.reference}`,
    '',
  ]
  const rows = scenario.cells.flatMap((cell) => rowsOf(scenario, cell))
  return `${scenario.title}\n\n${markdown(head, rows)}\n`
}

export function machineText(machine: Machine): string {
  const { server, load } = machine.pinned
  const pinned =
    server === null ? 'not pinned' : `server on core ${server}, load on core ${String(load)}`
  const versions = Object.entries(machine.versions).map(([name, version]) => `${name} ${version}`)
  return [
    `${machine.at}, commit ${machine.commit}, Node ${machine.node}, ${versions.join(', ')}`,
    `${machine.cpu}, ${machine.cores} cores, ${pinned}, ${machine.system}, load average at the start ${numberText(machine.loadAverage)}`,
  ].join('\n')
}

/** All results as people read them: medians, and the least and the most in brackets. */
export function resultsText(results: Results): string {
  const about = `${machineText(results.machine)}\nmedians [least–most] of ${results.pairs} runs each, in turn`
  const flags = results.serverFlags.length === 0 ? '' : `, node ${results.serverFlags.join(' ')}`
  return `${about}${flags}\n\n${results.scenarios.map(scenarioText).join('\n')}`
}
