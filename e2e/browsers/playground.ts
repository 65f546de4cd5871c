import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort } from '../free-port.js'

/** The playground as `npm start` leaves it: supervisor, server and built page on one port. */
export interface Playground extends AsyncDisposable {
  readonly port: number
  /** Where its page is, by one of the machine's own names. */
  address(host?: LocalName): string
  /** What it has printed until now. */
  readonly output: string
  stop(): Promise<void>
}

/** Browsers treat the two differently where the network is taken away. */
export type LocalName = 'localhost' | '127.0.0.1'

const START = fileURLToPath(new URL('../../examples/playground/start.mjs', import.meta.url))
const STOP_LIMIT_MS = 20_000

/**
 * Starts it on a free port; the build must be there. `keeps: 'in memory'` is a server whose messages
 * end with it; else they are in a directory of the test's.
 */
export async function startPlayground({
  keeps = 'on disk',
}: { keeps?: 'on disk' | 'in memory' } = {}): Promise<Playground> {
  const folder = mkdtempSync(join(tmpdir(), 'realtime-playground-'))
  const child = spawn(process.execPath, [START], {
    env: {
      ...process.env,
      PORT: String(await freePort()),
      DATA: keeps === 'in memory' ? 'none' : folder,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  // Where a run is ended from outside, nothing may be left running.
  const end = (): void => void child.kill('SIGTERM')
  process.once('exit', end)
  let output = ''
  const exited = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const listening = new Promise<number>((resolve, reject) => {
    const hear = (text: string): void => {
      output += text
      const port = /http:\/\/localhost:(\d+)/.exec(output)?.[1]
      if (port !== undefined) resolve(Number(port))
    }
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', hear)
    child.once('error', reject)
    void exited.then(() => reject(new Error(`the playground did not start:\n${output}`)))
  })
  const port = await listening
  const stop = async (): Promise<void> => {
    child.kill('SIGINT')
    const limit = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS)
    await exited
    clearTimeout(limit)
    process.off('exit', end)
    rmSync(folder, { recursive: true, force: true })
  }
  return {
    port,
    address: (host = '127.0.0.1') => `http://${host}:${port}`,
    get output() {
      return output
    },
    stop,
    [Symbol.asyncDispose]: stop,
  }
}
