import { Server } from 'socket.io'
import type { BenchServer, ServerOptions } from './bench-server.js'
import { closeHttp, listen, newHttpServer } from './http.js'

type Answer = (result: object) => void

/** What a room remembers for those who come back: an application writes this by hand. */
const HISTORY_SIZE = 1_000

/** A message as an application of its own would keep it. */
interface Kept {
  readonly number: number
  readonly payload: { readonly k: string }
}

/** Socket.IO as its documentation shows it: rooms, `io.to(room).emit`, acknowledgement callbacks. */
export async function startPlainSocketIo(options: ServerOptions): Promise<BenchServer> {
  const http = newHttpServer()
  const io = new Server(http)
  const kept = new Map<string, Kept[]>()
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
    socket.on('publish-kept', (room: string, payload: Kept['payload'], answer: Answer) => {
      const history = kept.get(room) ?? []
      kept.set(room, history)
      history.push({ number: Number(payload.k.slice(-9)), payload })
      if (history.length > HISTORY_SIZE) history.shift()
      io.to(room).emit('message', room, payload)
      answer({ status: 'success' })
    })
    socket.on('rejoin', async (room: string, after: number, answer: Answer) => {
      await socket.join(room)
      const history = kept.get(room) ?? []
      answer({ status: 'success', messages: history.filter(({ number }) => number > after) })
    })
  })
  const port = await listen(http, options.port)
  const stop = async (): Promise<void> => {
    await io.close()
    await closeHttp(http)
  }
  return { port, stop }
}
