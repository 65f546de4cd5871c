import type { Faults } from './faults.js'
import { makeOperations, shrink, type Operation } from './operations.js'
import { simulate } from './simulate.js'
import type { Tally } from './tally.js'

/** A counter-example: what was broken, and the shortest list found that still breaks something. */
export interface Finding {
  readonly seed: number
  readonly violations: readonly string[]
  readonly operations: readonly Operation[]
}

export interface HuntOptions {
  /** Operations of a run; default 60. */
  readonly operations?: number
  readonly faults?: Partial<Faults>
  /** Adds up what struck in the runs of all seeds (not in those that shrink a finding). */
  readonly tally?: Tally
}

const CLIENTS = 3
const TOPICS = 2

/** One seed: null where every promise was kept. */
export async function hunt(seed: number, options: HuntOptions = {}): Promise<Finding | null> {
  const { operations: count = 60, faults, tally } = options
  const world = { seed, clients: CLIENTS, ...(faults !== undefined && { faults }) }
  const all = makeOperations(seed, { count, clients: CLIENTS, topics: TOPICS })
  const first = simulate(world)
  const broken = await first.run(all)
  tally?.addAll(first.tally)
  if (broken.length === 0) return null
  const fails = async (candidate: readonly Operation[]): Promise<boolean> =>
    (await simulate(world).run(candidate)).length > 0
  const operations = await shrink(all, fails)
  return { seed, violations: await simulate(world).run(operations), operations }
}

/** For people: the seed, what broke, and what was done. */
export function describeFinding({ seed, violations, operations }: Finding): string {
  return [
    `seed ${seed} breaks ${violations.length} promise(s):`,
    ...violations.slice(0, 20).map((violation) => `  ${violation}`),
    `with these ${operations.length} operations:`,
    ...operations.map((operation) => `  ${JSON.stringify(operation)},`),
  ].join('\n')
}
