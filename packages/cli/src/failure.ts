/** Exit code of a failure to start or to go on. */
export const EXIT_FAILED = 1
/** Exit code of wrong usage: a flag or variable that cannot be read. */
export const EXIT_USAGE = 2

/** An end of the command that is told in one sentence, without a stack. */
export class Failure extends Error {
  readonly exitCode: number

  constructor(message: string, exitCode: number, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'Failure'
    this.exitCode = exitCode
  }
}

/** The command could not start, or could not go on: exit code 1. */
export function failed(message: string, cause?: unknown): Failure {
  return new Failure(message, EXIT_FAILED, cause)
}

/** The command line or the environment cannot be read: exit code 2. */
export function wrongUsage(message: string): Failure {
  return new Failure(message, EXIT_USAGE)
}
