import { spawn, type ChildProcess } from 'node:child_process'

/** One way: a request with a number; back: its answer, or how it failed, or progress on the way. */
interface RequestMessage {
  readonly id: number
  readonly command: unknown
}
interface AnswerMessage {
  readonly id: number
  readonly result?: unknown
  readonly error?: string
}

interface Waiting {
  readonly resolve: (result: unknown) => void
  readonly reject: (error: Error) => void
}

export interface ChildOptions {
  /** Compiled module that calls `answerCommands`. */
  readonly module: string
  /** Pinned to this core, where the system can. */
  readonly core: number | null
  readonly nodeFlags?: readonly string[]
}

/** A child process that is asked over IPC. */
export class Child {
  readonly #process: ChildProcess
  readonly #waiting = new Map<number, Waiting>()
  readonly #gone: Promise<void>
  #nextId = 1

  constructor({ module, core, nodeFlags = [] }: ChildOptions) {
    const node = [process.execPath, ...nodeFlags, module]
    const [command = process.execPath, ...args] =
      core === null ? node : ['taskset', '-c', String(core), ...node]
    this.#process = spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    this.#process.on('message', (message: AnswerMessage) => this.#settle(message))
    this.#gone = new Promise((resolve) => {
      this.#process.once('error', (error) => {
        this.#failAll(error)
        resolve()
      })
      this.#process.once('exit', (code, signal) => {
        this.#failAll(new Error(`${module} ended by itself: ${String(signal ?? code)}`))
        resolve()
      })
    })
  }

  /** Asks for something; the child's type of the answer is taken at its word. */
  async ask<T>(command: unknown): Promise<T> {
    const id = this.#nextId++
    const answer = new Promise<unknown>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      const message: RequestMessage = { id, command }
      this.#process.send(message, (error) => {
        if (error !== null) this.#settle({ id, error: error.message })
      })
    })
    return (await answer) as T
  }

  /** Lets the process end by itself, so that a profile is written; resolves when it is gone. */
  async leave(): Promise<void> {
    this.#process.disconnect()
    await this.#gone
  }

  /** kill -9; resolves when the process is gone. */
  async kill(): Promise<void> {
    this.#process.kill('SIGKILL')
    await this.#gone
  }

  #settle({ id, result, error }: AnswerMessage): void {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    if (error === undefined) waiting?.resolve(result)
    else waiting?.reject(new Error(error))
  }

  #failAll(error: Error): void {
    for (const id of this.#waiting.keys()) this.#settle({ id, error: error.message })
  }
}

/** The child's side. Without a parent the process ends: nothing of a benchmark outlives it. */
export function answerCommands<C>(handle: (command: C) => Promise<unknown>): void {
  process.on('message', ({ id, command }: RequestMessage) => {
    const answer = (message: AnswerMessage): void => void process.send?.(message)
    handle(command as C).then(
      (result) => answer({ id, result }),
      (error: unknown) => {
        answer({
          id,
          error: error instanceof Error ? (error.stack ?? error.message) : String(error),
        })
      },
    )
  })
  process.on('disconnect', () => process.exit(0))
}
