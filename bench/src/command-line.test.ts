import { expect, test } from 'vitest'
import { planOf, type Plan } from './command-line.js'

const DEFAULTS = { out: 'results', data: '.data' }

const cellsOf = (plan: Plan | null): string[] =>
  (plan?.scenarios ?? []).flatMap(({ id, cells }) =>
    cells.map((cell) => `${id} ${cell.id} ${cell.runners.join('+')}`),
  )

test('without options all scenarios run but the one for the tests', () => {
  const ids = planOf([], DEFAULTS)?.scenarios.map(({ id }) => id) ?? []
  expect(ids).toContain('fan-out')
  expect(ids).not.toContain('smoke')
  expect(planOf(['--quick'], DEFAULTS)?.scenarios.map(({ id }) => id)).toEqual(['smoke'])
})

test('scenarios, cells and runners are chosen by name', () => {
  const args = ['--only', 'fan-out', '--cells', '200x1,1000x64', '--runners', 'ours,socket-io']
  expect(cellsOf(planOf(args, DEFAULTS))).toEqual([
    'fan-out 200x1 ours+socket-io',
    'fan-out 1000x64 ours+socket-io',
  ])
})

test('what there is not is refused by name', () => {
  expect(() => planOf(['--only', 'fan'], DEFAULTS)).toThrow(/--only: there is no fan; there are/)
  expect(() => planOf(['--only', 'rooms', '--cells', '200x1'], DEFAULTS)).toThrow(/--cells/)
  expect(() => planOf(['--runners', 'us'], DEFAULTS)).toThrow(/--runners/)
  expect(() => planOf(['--pairs', '0'], DEFAULTS)).toThrow(/--pairs must be a number above 0/)
  expect(() => planOf(['--seconds', 'x'], DEFAULTS)).toThrow(/--seconds/)
})
