import { answerCommands } from '../process/channel.js'
import type { BenchServer, Contender, ServerOptions } from './bench-server.js'
import { startOurs } from './ours.js'
import { startPlainSocketIo } from './plain-socket-io.js'
import { startRawWs } from './raw-ws.js'

export type ServerCommand =
  | { readonly do: 'start'; readonly contender: Contender; readonly options: ServerOptions }
  | { readonly do: 'mark'; readonly collect: boolean }
  | { readonly do: 'stop' }

/** Where the server process stands. */
export interface Mark {
  /** User and system time of the process since its start, in seconds. */
  readonly cpuSeconds: number
  readonly rssBytes: number
  readonly heapBytes: number
  /** The longest time that the event loop was blocked since the mark before, in ms. */
  readonly longestTurnMs: number
}

function start(contender: Contender, options: ServerOptions): Promise<BenchServer> {
  switch (contender) {
    case 'ours':
    case 'ours-disk-always':
    case 'ours-disk-interval':
      return startOurs(contender, options)
    case 'socket-io':
      return startPlainSocketIo(options)
    case 'ws-naive':
      return startRawWs('naive', options)
    case 'ws-joined':
      return startRawWs('joined', options)
  }
}

/** Looks at the time between turns of the event loop; costs a timer each 5 ms. */
class TurnWatch {
  #last = performance.now()
  #longestMs = 0

  constructor() {
    setInterval(() => {
      const now = performance.now()
      this.#longestMs = Math.max(this.#longestMs, now - this.#last - 5)
      this.#last = now
    }, 5).unref()
  }

  take(): number {
    const longest = this.#longestMs
    this.#longestMs = 0
    return longest
  }
}

function mark(watch: TurnWatch, collect: boolean): Mark {
  if (collect) {
    if (globalThis.gc === undefined) throw new Error('--expose-gc is missing')
    globalThis.gc()
    globalThis.gc()
  }
  const { user, system } = process.cpuUsage()
  const { rss, heapUsed } = process.memoryUsage()
  return {
    cpuSeconds: (user + system) / 1e6,
    rssBytes: rss,
    heapBytes: heapUsed,
    longestTurnMs: watch.take(),
  }
}

function main(): void {
  const watch = new TurnWatch()
  let running: BenchServer | null = null
  answerCommands<ServerCommand>(async (command) => {
    switch (command.do) {
      case 'start':
        running = await start(command.contender, command.options)
        return running.port
      case 'mark':
        return mark(watch, command.collect)
      case 'stop':
        await running?.stop()
        return null
    }
  })
}

main()
