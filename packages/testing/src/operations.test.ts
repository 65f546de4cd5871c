import { expect, test } from 'vitest'
import { makeOperations, shrink, type Operation } from './operations.js'

const SHAPE = { count: 80, clients: 3, topics: 2 }

test('[P1] the same seed gives the same operations, another one others', () => {
  expect(makeOperations(4, SHAPE)).toEqual(makeOperations(4, SHAPE))
  expect(makeOperations(4, SHAPE)).not.toEqual(makeOperations(5, SHAPE))
})

test('[P1] a failing list is shrunk to what the failure needs', async () => {
  const needed: Operation[] = [{ kind: 'crash', ms: 7 }, { kind: 'replace' }]
  const noise = makeOperations(1, SHAPE).filter(({ kind }) => kind === 'advance')
  const all = [...noise, needed[0], ...noise, needed[1]].filter((each) => each !== undefined)
  const fails = (candidate: readonly Operation[]): Promise<boolean> =>
    Promise.resolve(needed.every((operation) => candidate.includes(operation)))
  expect(await shrink(all, fails)).toEqual(needed)
})
