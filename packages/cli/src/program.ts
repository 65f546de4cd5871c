import { readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import { serve } from './commands/serve.js'
import { EXIT_FAILED, EXIT_USAGE, Failure } from './failure.js'
import { jsonOutput, type LineSink } from './output.js'
import { resolveSettings, variableOf, type Environment, type ServeFlags } from './settings.js'

/** The world around the program: the real process, or a test's. */
export interface Surroundings {
  readonly environment: Environment
  readonly stdout: LineSink
  readonly stderr: LineSink
  /** Resolves when the program is asked to end. */
  readonly ended: Promise<void>
}

/**
 * Runs the command line and resolves with the exit code: 0, 1 for a failure, 2 for wrong usage.
 * `args` are those after the program's name.
 */
export async function main(args: readonly string[], world: Surroundings): Promise<number> {
  const result = { exitCode: 0 }
  const program = makeProgram(world, async (flags) => {
    result.exitCode = await runServe(flags, world)
  })
  try {
    await program.parseAsync(args, { from: 'user' })
    return result.exitCode
  } catch (error) {
    // Commander has written its own message; `--help` and `--version` come this way, too.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE
    return report(error, world.stderr)
  }
}

function makeProgram(world: Surroundings, onServe: (flags: ServeFlags) => Promise<void>): Command {
  const program = new Command('bmt-realtime')
    .description('Realtime messaging: a stand-alone server.')
    .version(readVersion())
    .exitOverride()
    .showHelpAfterError('(add --help for what can be said)')
    .configureOutput({
      writeOut: (text) => world.stdout.write(text),
      writeErr: (text) => world.stderr.write(text),
    })
  program
    .command('serve')
    .description('Starts a server. Logs JSON lines.')
    .option('--port <number>', 'port to listen on; 0 takes any free one (default 3000)')
    .option('--host <name>', 'address to listen on (default 127.0.0.1)')
    .option('--dev', 'accept tokens dev:<userId>[:<role>[:<permission>,…]]; loopback only')
    .option('--jwt-secret <secret>', 'accept tokens signed with it (HS256)')
    .option('--jwt-issuer <issuer>', 'what `iss` of a token must be (default: not checked)')
    .option('--jwt-audience <name>', 'what `aud` of a token must be (default: not checked)')
    .option('--config <file>', 'JSON: { "channels", "limits", "cors", "events", … }')
    .option('--cors-origin <origin>', 'an origin whose pages may connect; repeatable', collect)
    .option('--drain-ms <ms>', 'accepted for later: this version ends all connections at once')
    .option('--data <dir>', 'keep messages in this directory (default: in memory)')
    .option('--lock-wait-ms <ms>', 'wait for a directory that another process holds (default 0)')
    .option('--redis <url>', 'comes with a later version')
    .option('--log-level <level>', 'debug, info, warn or error (default info)')
    .addHelpText(
      'after',
      `
Each flag is also an environment variable: --jwt-secret is ${variableOf('--jwt-secret')}; a flag
wins over it. Secrets are better there, because command lines are visible to others.

  GET /healthz   200 while the process lives
  GET /readyz    200 while it serves, else 503

SIGTERM and SIGINT end it with 0. A failure to start ends with 1, wrong usage with 2.`,
    )
    .action(onServe)
  return program
}

function collect(value: string, previous: readonly string[] | undefined): string[] {
  return [...(previous ?? []), value]
}

async function runServe(flags: ServeFlags, world: Surroundings): Promise<number> {
  const settings = resolveSettings(flags, world.environment)
  const output = jsonOutput(world.stdout, settings.logLevel)
  const running = await serve(settings, output, world.ended).catch((error: unknown) => {
    output.release(world.stderr)
    throw error
  })
  await world.ended
  await running?.close()
  return 0
}

function report(error: unknown, stderr: LineSink): number {
  if (error instanceof Failure) {
    stderr.write(`bmt-realtime: ${error.message}\n`)
    return error.exitCode
  }
  // A fault of ours: the stack is what its report needs.
  stderr.write(`bmt-realtime: ${error instanceof Error ? error.stack : String(error)}\n`)
  return EXIT_FAILED
}

function readVersion(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}
