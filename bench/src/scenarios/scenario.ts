import type { Contender } from '../servers/bench-server.js'

/** Beside the servers: what the file system itself can do. */
export type Runner = Contender | 'fdatasync'

/** What one run measured, by the key of its metric. */
export type Measured = Readonly<Record<string, number>>

export interface RunContext {
  readonly serverCore: number | null
  /** Flags of Node for every server, on top of a scenario's own. */
  readonly serverFlags: readonly string[]
  /** How long the measured part of a run with a steady load lasts. */
  readonly measureMs: number
  /** An empty directory for what is stored. */
  readonly dataDir: string
}

export interface Cell {
  /** Names it on the command line, within its scenario. */
  readonly id: string
  readonly runners: readonly Runner[]
  /** Rejects where a count is not exact. */
  readonly run: (runner: Runner, context: RunContext) => Promise<Measured>
}

export interface Metric {
  readonly key: string
  readonly title: string
  readonly better: 'less' | 'more'
}

export interface Scenario {
  readonly id: string
  readonly title: string
  /** Whom the others are compared with. */
  readonly reference: Runner
  /** The first one is the one that is drawn and compared. */
  readonly metrics: readonly [Metric, ...Metric[]]
  readonly cells: readonly Cell[]
}

export function asContender(runner: Runner): Contender {
  if (runner === 'fdatasync') throw new Error('fdatasync is no server')
  return runner
}
