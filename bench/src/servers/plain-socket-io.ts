import { Server } from 'socket.io'
import type { BenchServer, ServerOptions } from './bench-server.js'
import { closeHttp, listen, newHttpServer } from './http.js'

type Answer = (result: object) => void

/** What a room remembers for those who come back: an application writes this by hand. */
const HISTORY_SIZE = 1_000

/** Socket.IO as its documentation shows it: rooms, `io.to(room).emit`, acknowledgement callbacks. */
export async function startPlainSocketIo(options: ServerOptions): Promise<BenchServer> {
  const http = newHttpServer()
  const io = new Server(http)
  const missed = new Map<string, { n: number; payload: unknown }[]>()
  io.on('connection', (socket) => {
    socket.on('subscribe', async (room: string, answer: Answer) => {
      await socket.join(room)
      answer({ status: 'success' })
    })
    socket.on('publish', (room: string, payload: unknown, answer: Answer) => {
      io.to(room).emit('message', room, payload)
      answer({ status: 'success' })
    })
    // For the storm of those who come back: what is published is kept, and asked for by number.
    socket.on('publish-kept', (room: string, payload: unknown, answer: Answer) => {
      const kept = missed.get(room) ?? []
      missed.set(room, kept)
      kept.push({ n: (kept.at(-1)?.n ?? 0) + 1, payload })
      if (kept.length > HISTORY_SIZE) kept.shift()
      io.to(room).emit('message', room, payload)
      answer({ status: 'success' })
    })
    socket.on('rejoin', async (room: string, answer: Answer) => {
      await socket.join(room)
      answer({ status: 'success', messages: missed.get(room) ?? [] })
    })
  })
  const port = await listen(http, options.port)
  const stop = async (): Promise<void> => {
    await io.close()
    await closeHttp(http)
  }
  return { port, stop }
}
