import { machineText } from './table.js'
import { numberText } from './number-text.js'
import type { CellResult, Results, ScenarioResult } from './results.js'

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

/** From a value to pixels; logarithmic, since the contenders differ by powers of ten. */
type Scale = (value: number) => number

function scaleOf(values: readonly number[]): Scale {
  const low = Math.floor(Math.log10(Math.min(...values)))
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...values))))
  return (value) => ((Math.log10(value) - low) / (high - low)) * (WIDTH - LEFT - RIGHT)
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

function drawCell(drawing: Drawing, cell: CellResult, key: string, scale: Scale): void {
  for (const [at, { runner, metrics }] of cell.runners.entries()) {
    const summary = metrics[key]
    if (summary === undefined) continue
    drawing.y += BAR + GAP
    if (at === 0) drawing.text(12, cell.cell, 'class="cell"')
    drawing.text(LEFT - 8, runner, 'text-anchor="end"')
    const top = drawing.y - BAR + 4
    const end = LEFT + scale(summary.median)
    const [low, high] = [LEFT + scale(summary.min), LEFT + scale(summary.max)]
    const middle = top + BAR / 2
    drawing.add(
      `<rect x="${LEFT}" y="${top}" width="${(end - LEFT).toFixed(1)}" height="${BAR}" fill="${COLOURS[runner] ?? '#888'}"/>`,
    )
    drawing.add(
      `<path d="M${low.toFixed(1)} ${middle}H${high.toFixed(1)}" stroke="#111" stroke-width="1.5"/>`,
    )
    drawing.text(Math.max(end, high) + 6, numberText(summary.median))
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
  drawing.y += 34
  drawing.text(12, scenario.title, 'class="title"')
  drawing.y += 16
  drawing.text(12, `${metric.title}; ${metric.better} is better; logarithmic`, 'class="unit"')
  const scale = scaleOf(drawable)
  for (const cell of scenario.cells) drawCell(drawing, cell, metric.key, scale)
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
