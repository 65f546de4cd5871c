import { fileURLToPath } from 'node:url'
import { Child } from '../process/channel.js'
import type { RunContext } from '../scenarios/scenario.js'
import type { Contender, ServerOptions } from '../servers/bench-server.js'
import type { Mark, ServerCommand } from '../servers/serve.js'

const MODULE = fileURLToPath(new URL('../servers/serve.js', import.meta.url))

/** The server under load, as the load process sees it. */
export class ServerProcess {
  readonly #child: Child
  readonly port: number

  private constructor(child: Child, port: number) {
    this.#child = child
    this.port = port
  }

  static async start(
    contender: Contender,
    { serverCore, serverFlags }: RunContext,
    options: Partial<ServerOptions> = {},
    ownFlags: readonly string[] = [],
  ): Promise<ServerProcess> {
    const child = new Child({
      module: MODULE,
      core: serverCore,
      nodeFlags: [...serverFlags, ...ownFlags],
    })
    const command: ServerCommand = {
      do: 'start',
      contender,
      options: { port: 0, dataDir: null, ...options },
    }
    return new ServerProcess(child, await child.ask<number>(command))
  }

  mark(collect = false): Promise<Mark> {
    return this.#child.ask<Mark>({ do: 'mark', collect } satisfies ServerCommand)
  }

  async stop(): Promise<void> {
    await this.#child.ask<null>({ do: 'stop' } satisfies ServerCommand)
    await this.#child.leave()
  }

  /** kill -9. */
  kill(): Promise<void> {
    return this.#child.kill()
  }
}
