import { fork, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { freePort } from './free-port.js'
import { parseReport } from './supervision.js'

export interface SupervisorOptions {
  /** Where to begin looking for a free port. */
  readonly wantedPort: number
  /** Where the server on a port keeps its messages; null (default): in its memory. */
  dataOf?(port: number): string | null
  write(text: string): void
  /** Module of the server process; default: the playground's own. */
  readonly serverFile?: string
  /** ms that a killed server stays away, so that one can watch and write meanwhile. Default 2 000. */
  readonly restartDelayMs?: number
}

const SERVER_FILE = fileURLToPath(new URL('./main.js', import.meta.url))
const RESTART_DELAY_MS = 2_000
const END_LIMIT_MS = 5_000
/** A server that ends by itself so often within a minute will not get better. */
const MAX_CRASHES = 5
const CRASH_WINDOW_MS = 60_000

/** How a server process came to its first word. */
type Start = 'listening' | 'port_taken' | 'failed'

/** Starts the playground's server, kills it when it is asked to, and starts it again on its port. */
export class Supervisor {
  readonly #options: Required<SupervisorOptions>
  readonly #crashes: number[] = []
  readonly #finished: Promise<number>
  #finish: (exitCode: number) => void = () => undefined
  #child: ChildProcess | null = null
  #killing = false
  #stopping = false
  #timer: NodeJS.Timeout | null = null
  #port = 0

  constructor(options: SupervisorOptions) {
    this.#options = {
      serverFile: SERVER_FILE,
      restartDelayMs: RESTART_DELAY_MS,
      dataOf: () => null,
      ...options,
    }
    this.#finished = new Promise((resolve) => {
      this.#finish = resolve
    })
  }

  /** Where the server listens, once `start` has resolved. */
  get port(): number {
    return this.#port
  }

  /** The server process, null while there is none. */
  get pid(): number | null {
    return this.#child?.pid ?? null
  }

  /** Resolves with the exit code when nothing runs any more and nothing will. */
  get finished(): Promise<number> {
    return this.#finished
  }

  /** Resolves with the port when the server listens; null where it could not be started. */
  async start(): Promise<number | null> {
    const { wantedPort } = this.#options
    for (let attempt = 0; attempt < 5; attempt += 1) {
      this.#port = await freePort(wantedPort)
      const start = await this.#launch()
      if (start === 'listening') return this.#port
      if (start === 'failed') break
    }
    this.#finish(1)
    return null
  }

  /** Ends the server and everything else; what does not end in time is killed. */
  stop(): void {
    if (this.#stopping) return
    this.#stopping = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    const child = this.#child
    if (child === null) {
      this.#finish(0)
      return
    }
    child.kill('SIGTERM')
    this.#timer = setTimeout(() => child.kill('SIGKILL'), END_LIMIT_MS)
  }

  #launch(): Promise<Start> {
    const data = this.#options.dataOf(this.#port)
    const args = [String(this.#port), ...(data === null ? [] : [data])]
    const child = fork(this.#options.serverFile, args, { stdio: 'inherit' })
    this.#child = child
    return new Promise((resolve) => {
      const state: { start: Start | null } = { start: null }
      const settle = (start: Start): void => {
        state.start ??= start
        resolve(start)
      }
      child.on('message', (message) => {
        const report = parseReport(message)
        if (report === null) return
        if (report.kind === 'kill_me') this.#kill(child)
        else settle(report.kind)
      })
      child.on('error', (error) => this.#options.write(`  ${error.message}\n`))
      child.on('exit', (code, signal) => {
        this.#child = null
        if (this.#stopping) this.#end()
        else if (state.start === 'listening') this.#onExit(signal ?? `exit code ${code}`)
        settle('failed')
      })
    })
  }

  #kill(child: ChildProcess): void {
    this.#killing = true
    child.kill('SIGKILL')
  }

  #onExit(how: string): void {
    const asked = this.#killing
    this.#killing = false
    if (!asked && this.#crashedTooOften()) {
      this.#options.write(`  The server ended too often (${how}); giving up.\n`)
      this.#finish(1)
      return
    }
    const seconds = this.#options.restartDelayMs / 1_000
    this.#options.write(
      `  The server ${asked ? 'was killed' : 'ended'} (${how}); it comes back in ${seconds} s.\n`,
    )
    this.#timer = setTimeout(() => void this.#restart(), this.#options.restartDelayMs)
  }

  async #restart(): Promise<void> {
    this.#timer = null
    const start = await this.#launch()
    if (this.#stopping) return
    if (start === 'listening') {
      this.#options.write(`  The server is back on port ${this.#port}.\n`)
    } else {
      this.#options.write(`  The server could not be started again on port ${this.#port}.\n`)
      this.#finish(1)
    }
  }

  #crashedTooOften(): boolean {
    const now = performance.now()
    this.#crashes.push(now)
    while ((this.#crashes[0] ?? now) < now - CRASH_WINDOW_MS) this.#crashes.shift()
    return this.#crashes.length >= MAX_CRASHES
  }

  #end(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#finish(0)
  }
}
