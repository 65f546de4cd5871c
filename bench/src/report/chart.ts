import type { Summary } from '../statistics.js'
import { machineText, ratioText } from './table.js'
import { numberText } from './number-text.js'
import type { CellResult, Results, RunnerResult, ScenarioResult } from './results.js'

const WIDTH = 900
const LEFT = 230
const RIGHT = 120
const BAR = 16
const GAP = 4
const COLOURS: Readonly<Record<string, string>> = {
  ours: '#0f766e',
  'ours-disk-always': '#0f766e',
  'ours-disk-interval': '#14b8a6',
  'socket-io': '#6b7280',
  'ws-naive': '#a8a29e',
  'ws-joined': '#c2a878',
  fdatasync: '#c2a878',
}

const escape = (text: string): string =>
  text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')

/** From a value to pixels. */
interface Scale {
  readonly name: 'linear' | 'logarithmic'
  readonly pixels: (value: number) => number
}

/** More than this between the least and the most: small bars would not be seen. */
const LINEAR_SPREAD = 10

function scaleOf(values: readonly number[]): Scale {
  const [least, most, room] = [Math.min(...values), Math.max(...values), WIDTH - LEFT - RIGHT]
  if (most / least < LINEAR_SPREAD) {
    return { name: 'linear', pixels: (value) => (value / most) * room }
  }
  const low = Math.floor(Math.log10(least))
  const high = Math.ceil(Math.log10(most))
  const pixels = (value: number): number => ((Math.log10(value) - low) / (high - low)) * room
  return { name: 'logarithmic', pixels }
}

/** Lines of SVG and how high they are. */
class Drawing {
  readonly #lines: string[] = []
  y = 0

  text(x: number, text: string, attributes = ''): void {
    this.#lines.push(
      `<text x="${Number(x.toFixed(1))}" y="${this.y}" ${attributes}>${escape(text)}</text>`,
    )
  }

  add(line: string): void {
    this.#lines.push(line)
  }

  toString(): string {
    return this.#lines.join('\n')
  }
}

function drawCell(
  drawing: Drawing,
  cell: CellResult,
  { metrics: [metric], reference }: ScenarioResult,
  scale: Scale,
): void {
  const summaryIn = ({ metrics }: RunnerResult): Summary | undefined => metrics[metric?.key ?? '']
  const compared = cell.runners.find(({ runner }) => runner === reference)
  for (const [at, result] of cell.runners.entries()) {
    const { runner } = result
    const summary = summaryIn(result)
    if (summary === undefined) continue
    const ratio = ratioText(summary, compared && summaryIn(compared))
    drawing.y += BAR + GAP
    if (at === 0) drawing.text(12, cell.cell, 'class="cell"')
    drawing.text(LEFT - 8, runner, 'text-anchor="end"')
    const top = drawing.y - BAR + 4
    const end = LEFT + scale.pixels(summary.median)
    const [low, high] = [LEFT + scale.pixels(summary.min), LEFT + scale.pixels(summary.max)]
    const middle = top + BAR / 2
    drawing.add(
      `<rect x="${LEFT}" y="${top}" width="${(end - LEFT).toFixed(1)}" height="${BAR}" fill="${COLOURS[runner] ?? '#888'}"/>`,
    )
    drawing.add(
      `<path d="M${low.toFixed(1)} ${middle}H${high.toFixed(1)}" stroke="#111" stroke-width="1.5"/>`,
    )
    drawing.text(
      Math.max(end, high) + 6,
      `${numberText(summary.median)}${ratio === '' ? '' : `  (${ratio})`}`,
    )
  }
  drawing.y += 8
}

function drawScenario(drawing: Drawing, scenario: ScenarioResult): void {
  const metric = scenario.metrics[0]
  const values = scenario.cells.flatMap(({ runners }) =>
    runners.flatMap(({ metrics }) => {
      const summary = metrics[metric?.key ?? '']
      return summary === undefined ? [] : [summary.min, summary.max]
    }),
  )
  const drawable = values.filter((value) => value > 0)
  if (metric === undefined || drawable.length === 0) return
  const scale = scaleOf(drawable)
  drawing.y += 34
  drawing.text(12, scenario.title, 'class="title"')
  drawing.y += 16
  drawing.text(12, `${metric.title}; ${metric.better} is better; ${scale.name}`, 'class="unit"')
  for (const cell of scenario.cells) drawCell(drawing, cell, scenario, scale)
}

/** All scenarios as bars, with a line from the least to the most. */
export function chartSvg(results: Results): string {
  const drawing = new Drawing()
  for (const scenario of results.scenarios) drawScenario(drawing, scenario)
  drawing.y += 12
  for (const line of machineText(results.machine).split('\n')) {
    drawing.y += 16
    drawing.text(12, line, 'class="unit"')
  }
  const height = drawing.y + 16
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" font-family="system-ui, sans-serif" font-size="12" fill="#1c1917">
<style>.title{font-weight:600;font-size:14px}.cell{font-weight:600}.unit{font-size:10px;fill:#57534e}</style>
<rect width="100%" height="100%" fill="#fff"/>
${drawing.toString()}
</svg>
`
}
