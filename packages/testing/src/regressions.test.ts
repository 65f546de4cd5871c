import { expect, test } from 'vitest'
import type { Operation } from './operations.js'
import { simulate, type SimulateOptions } from './simulate.js'

interface Regression {
  readonly name: string
  readonly world: SimulateOptions
  readonly operations: readonly Operation[]
}

/** What the simulation has found once, as `hunt` has shrunk it: it stays found. */
const FOUND: readonly Regression[] = [
  {
    name: '[P1] a publish that was given up while in progress, and the next on another connection',
    world: { seed: 176 },
    operations: [
      { kind: 'publish', client: 0, topic: 1, count: 1 },
      { kind: 'disconnect', client: 1 },
      { kind: 'advance', ms: 1495 },
      { kind: 'announce', topic: 0, count: 4 },
      { kind: 'announce', topic: 0, count: 5 },
      { kind: 'publish', client: 1, topic: 1, count: 5 },
      { kind: 'advance', ms: 1389 },
      { kind: 'publish', client: 2, topic: 0, count: 10 },
      { kind: 'publish', client: 2, topic: 0, count: 2 },
      { kind: 'advance', ms: 1585 },
      { kind: 'cut', client: 0 },
      { kind: 'advance', ms: 732 },
      { kind: 'publish', client: 0, topic: 1, count: 6 },
      { kind: 'announce', topic: 1, count: 6 },
      { kind: 'advance', ms: 1205 },
      { kind: 'publish', client: 2, topic: 1, count: 3 },
      { kind: 'advance', ms: 311 },
      { kind: 'join', client: 2, topic: 0, rewind: 6 },
      { kind: 'advance', ms: 809 },
      { kind: 'advance', ms: 451 },
      { kind: 'disconnect', client: 0 },
      { kind: 'connect', client: 1 },
      { kind: 'publish', client: 1, topic: 1, count: 9 },
      { kind: 'publish', client: 0, topic: 0, count: 9 },
      { kind: 'connect', client: 0 },
      { kind: 'advance', ms: 6702 },
      { kind: 'announce', topic: 0, count: 5 },
      { kind: 'abort', client: 1, index: 1 },
      { kind: 'advance', ms: 1340 },
    ],
  },
  {
    name: '[P4][L17] a resend by a client that could not know that its id had to give way to others',
    world: { seed: 3, faults: {}, limits: { maxIdempotencyIds: 20 } },
    operations: [
      { kind: 'advance', ms: 1_000 },
      { kind: 'lid', client: 0, topic: 0, afterMs: 42, ms: 60_000 },
      { kind: 'advance', ms: 10_000 },
      { kind: 'announce', topic: 0, count: 8 },
      { kind: 'advance', ms: 10_000 },
      { kind: 'announce', topic: 0, count: 8 },
      { kind: 'advance', ms: 10_000 },
      { kind: 'announce', topic: 0, count: 8 },
      { kind: 'advance', ms: 10_000 },
      { kind: 'announce', topic: 0, count: 8 },
    ],
  },
  {
    name: '[P1] a server that ends, in an epoch that had nothing yet: the check took it for the later one',
    world: { seed: 400_017, clients: 6 },
    operations: [
      { kind: 'publish', client: 2, topic: 0, count: 8 },
      { kind: 'advance', ms: 517 },
      { kind: 'publish', client: 2, topic: 1, count: 5 },
      { kind: 'advance', ms: 86 },
      { kind: 'advance', ms: 660 },
      { kind: 'advance', ms: 706 },
      { kind: 'announce', topic: 0, count: 10 },
      { kind: 'publish', client: 0, topic: 0, count: 3 },
      { kind: 'leap', ms: 283400 },
      { kind: 'announce', topic: 0, count: 5 },
      { kind: 'announce', topic: 0, count: 12 },
      { kind: 'advance', ms: 28953 },
      { kind: 'advance', ms: 684 },
      { kind: 'advance', ms: 22 },
      { kind: 'advance', ms: 148 },
      { kind: 'disconnect', client: 0 },
      { kind: 'crash', ms: 4633 },
      { kind: 'announce', topic: 1, count: 7 },
      { kind: 'announce', topic: 1, count: 10 },
      { kind: 'advance', ms: 637 },
      { kind: 'advance', ms: 16170 },
      { kind: 'advance', ms: 1889 },
      { kind: 'announce', topic: 0, count: 1 },
      { kind: 'publish', client: 2, topic: 1, count: 9 },
      { kind: 'publish', client: 2, topic: 1, count: 10 },
      { kind: 'publish', client: 2, topic: 1, count: 2 },
      { kind: 'advance', ms: 469 },
      { kind: 'advance', ms: 1761 },
      { kind: 'advance', ms: 557 },
      { kind: 'advance', ms: 1255 },
      { kind: 'publish', client: 1, topic: 0, count: 10 },
      { kind: 'advance', ms: 316 },
      { kind: 'crash', ms: 2404 },
      { kind: 'publish', client: 1, topic: 1, count: 5 },
      { kind: 'publish', client: 1, topic: 1, count: 1 },
      { kind: 'crash', ms: 1202 },
      { kind: 'advance', ms: 791 },
      { kind: 'advance', ms: 808 },
      { kind: 'advance', ms: 703 },
      { kind: 'advance', ms: 1531 },
      { kind: 'replace' },
      { kind: 'announce', topic: 1, count: 4 },
      { kind: 'advance', ms: 1044 },
      { kind: 'publish', client: 2, topic: 1, count: 3 },
    ],
  },
]

const named = FOUND.map((found) => [found.name, found] as const)

test.each(named)('%s', async (_, { world, operations }) => {
  expect(await simulate(world).run(operations)).toEqual([])
})
