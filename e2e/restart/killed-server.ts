import { spawn, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { freePort } from '../free-port.js'
import { within } from '../until.js'

const PROGRAM = fileURLToPath(new URL('../../packages/cli/bin/bmt-realtime.js', import.meta.url))

/** `bmt-realtime serve --data` on one port, which is killed and started again. The build must be there. */
export class KilledServer implements AsyncDisposable {
  readonly #data: string
  readonly #port: number
  readonly #program: string
  #child: ChildProcess | null = null

  private constructor(data: string, port: number, program: string) {
    this.#data = data
    this.#port = port
    this.#program = program
  }

  static async start(data: string, program: string = PROGRAM): Promise<KilledServer> {
    const server = new KilledServer(data, await freePort(), program)
    await server.start()
    return server
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  /** Of the process that runs, if one does. */
  get pid(): number | undefined {
    return this.#child?.pid
  }

  async start(): Promise<void> {
    const options = ['--dev', '--port', String(this.#port), '--data', this.#data]
    const args = [this.#program, 'serve', ...options]
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    this.#child = child
    const listening = new Promise<void>((resolve, reject) => {
      let own = ''
      const hear = (text: string): void => {
        own += text
        if (own.includes('"event":"listening"')) resolve()
      }
      for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', hear)
      child.once('exit', () => reject(new Error(`the server did not start:\n${own}`)))
    })
    await within(listening, 'the server')
  }

  /** kill -9; resolves when the process is gone. */
  async kill(): Promise<void> {
    const child = this.#child
    if (child === null) return
    this.#child = null
    const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
    child.kill('SIGKILL')
    await within(gone, 'the end of the server')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
  }
}
