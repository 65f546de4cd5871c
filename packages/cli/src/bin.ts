import { pino } from 'pino'
import { EXIT_FAILED } from './failure.js'
import { main } from './program.js'

/** Ending takes about a second at most; past this something hangs, and a supervisor should know. */
const END_LIMIT_MS = 15_000

// A log line must be out before the process ends, so both are written at once; a reader that has
// gone away (`| head -1`) ends nothing.
const stdout = pino.destination({ dest: 1, sync: true })
const stderr = pino.destination({ dest: 2, sync: true })

const ended = new Promise<void>((resolve) => {
  const end = (): void => {
    resolve()
    setTimeout(() => {
      stderr.write('bmt-realtime: the server did not end in time\n')
      process.exit(EXIT_FAILED)
    }, END_LIMIT_MS).unref()
  }
  // Asked again it goes on ending: npm passes a Ctrl+C on that the terminal has sent already.
  process.on('SIGTERM', end)
  process.on('SIGINT', end)
})

process.exitCode = await main(process.argv.slice(2), {
  environment: process.env,
  stdout,
  stderr,
  ended,
})
process.exit()
