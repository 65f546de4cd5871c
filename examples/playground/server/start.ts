import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Supervisor } from './supervisor.js'

const DEFAULT_PORT = 3000
/** One directory for each port: two playgrounds at once do not wait for each other. */
const DATA_FOLDER = fileURLToPath(new URL('../../../../.data', import.meta.url))

/** What `npm start` ends in: runs until it is interrupted, and leaves its exit code. */
export async function startPlayground(): Promise<void> {
  process.exitCode = await run()
}

async function run(): Promise<number> {
  const write = (text: string): void => void process.stdout.write(text)
  const wantedPort = readPort(process.env['PORT'])
  if (wantedPort === null) {
    process.stderr.write(`PORT must be a number from 1 to 65535\n`)
    return 2
  }
  const supervisor = new Supervisor({ wantedPort, write, dataOf: dataFrom(process.env['DATA']) })
  const stop = (): void => supervisor.stop()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop)

  const port = await supervisor.start()
  if (port !== null) write(welcome(port, wantedPort))
  const exitCode = await supervisor.finished
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(signal, stop)
  return exitCode
}

function readPort(text: string | undefined): number | null {
  if (text === undefined || text === '') return DEFAULT_PORT
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0
  return port >= 1 && port <= 65_535 ? port : null
}

/** `DATA` is a directory, or `none` for a server that keeps nothing over its end. */
function dataFrom(text: string | undefined): (port: number) => string | null {
  if (text === 'none') return () => null
  const folder = text === undefined || text === '' ? DATA_FOLDER : text
  return (port) => join(folder, String(port))
}

function welcome(port: number, wantedPort: number): string {
  const taken =
    port === wantedPort
      ? ''
      : `\n  Port ${wantedPort} is taken by another program, so this is port ${port}.\n`
  return `
  The chat is running.
${taken}
    Open       http://localhost:${port}
    A second   person: the same address in another window, or the button in the page
    Then       cut the line, kill the server, and watch what happens

  Ctrl+C ends it.

`
}
