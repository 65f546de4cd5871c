// The server process of the playground: chat service, page and statistics on one port.
// `supervisor.ts` starts it, kills it when the page asks for that, and starts it again.
import { createServer, type Server } from 'node:http'
import { fileURLToPath } from 'node:url'
import type { Logger } from '@bmt-central/realtime-protocol'
import { makeChatService } from './chat-service.js'
import { publishMetrics } from './metrics.js'
import { pageListener } from './page-listener.js'
import { StaticFiles } from './static-files.js'
import type { ServerReport } from './supervision.js'

const PAGE_FOLDER = fileURLToPath(new URL('../page', import.meta.url))

function terminalLogger(): Logger {
  const write = (event: string, fields: Readonly<Record<string, unknown>> = {}): void => {
    const { error, ...rest } = fields
    const reason = error instanceof Error ? ` ${error.message}` : ''
    process.stderr.write(`  ${event}${reason} ${JSON.stringify(rest)}\n`)
  }
  return { debug: () => undefined, info: () => undefined, warn: write, error: write }
}

function report(message: ServerReport): void {
  process.send?.(message)
}

async function run(port: number, data: string | null): Promise<void> {
  const logger = terminalLogger()
  const service = makeChatService(logger, data)
  const kill = process.send === undefined ? null : () => report({ kind: 'kill_me' })
  const server = createServer(
    pageListener({ files: new StaticFiles(PAGE_FOLDER), kill, durable: data !== null }),
  )
  await listen(server, port)
  await service.attach(server)
  const stopMetrics = publishMetrics(service, logger)
  report({ kind: 'listening' })

  const state = { closing: false }
  const close = async (): Promise<void> => {
    if (state.closing) return
    state.closing = true
    stopMetrics()
    await service.close()
    if (server.listening) server.close()
    server.closeAllConnections()
    // The channel to the supervisor would keep this process alive.
    if (process.connected) process.disconnect()
  }
  process.on('SIGTERM', () => void close())
  process.on('SIGINT', () => void close())
  // The supervisor is gone, however it went: nothing may be left running.
  process.on('disconnect', () => void close())
}

/** On the loopback only: tokens of the playground can be written by anybody. */
function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => {
      server.off('error', reject)
      resolve()
    })
  })
}

try {
  await run(Number(process.argv[2] ?? 3000), process.argv[3] ?? null)
} catch (error) {
  if ((error as { code?: unknown }).code === 'EADDRINUSE') report({ kind: 'port_taken' })
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`)
  process.exit(1)
}
