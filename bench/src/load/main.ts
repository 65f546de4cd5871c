import { answerCommands } from '../process/channel.js'
import { findCell } from '../scenarios/registry.js'
import type { RunContext, Runner } from '../scenarios/scenario.js'

export interface LoadCommand {
  readonly scenario: string
  readonly cell: string
  readonly runner: Runner
  readonly context: RunContext
}

answerCommands<LoadCommand>(({ scenario, cell, runner, context }) =>
  findCell(scenario, cell).run(runner, context),
)
