import { expect, test } from 'vitest'
import { summaryOf } from '../statistics.js'
import { chartSvg } from './chart.js'
import type { Results, RunnerResult } from './results.js'
import { resultsText } from './table.js'

const runner = (name: string, values: readonly number[]): RunnerResult => ({
  runner: name,
  metrics: values.length === 0 ? {} : { cpu: summaryOf(values) },
  failures: values.length === 0 ? ['counted 3 where 4 were due'] : [],
})

const RESULTS: Results = {
  machine: {
    at: '2026-01-01T00:00:00.000Z',
    node: '20.20.2',
    system: 'Linux',
    cpu: 'A <fast> one',
    cores: 2,
    memoryBytes: 1,
    loadAverage: 0.5,
    pinned: { server: 0, load: 1 },
    versions: { ws: '8.21.3' },
    commit: 'abc+',
  },
  pairs: 3,
  measureMs: 1_500,
  serverFlags: [],
  scenarios: [
    {
      id: 'fan-out',
      title: 'One topic',
      reference: 'socket-io',
      metrics: [{ key: 'cpu', title: 'CPU s', better: 'less' }],
      cells: [
        {
          cell: '200x1',
          runners: [
            runner('ours', [0.5, 0.1, 0.2]),
            runner('socket-io', [12, 10, 9]),
            runner('ws-joined', []),
          ],
        },
      ],
    },
  ],
}

test('a table has medians, the least and the most, and how they compare', () => {
  const lines = resultsText(RESULTS).split('\n')
  expect(lines.find((line) => line.includes('ours'))).toMatch(
    /200x1 .*0\.20 \[0\.10–0\.50\] .* 1\/50\.0 /,
  )
  expect(lines.find((line) => line.includes('| socket-io'))).toContain('10.0 [9.00–12.0]')
  expect(lines.find((line) => line.includes('ws-joined'))).toMatch(/– .*1 FAILED/)
})

test('a chart has a bar for everybody who was measured, and is well-formed', () => {
  const svg = chartSvg(RESULTS)
  expect(svg.match(/<rect x=/g)).toHaveLength(2)
  expect(svg).toContain('A &lt;fast&gt; one')
  expect(svg).not.toMatch(/NaN|Infinity|undefined/)
})
