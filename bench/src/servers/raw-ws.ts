import type { Socket } from 'node:net'
import { WebSocketServer, type RawData, type WebSocket } from 'ws'
import type { BenchServer, ServerOptions } from './bench-server.js'
import { closeHttp, listen, newHttpServer } from './http.js'
import { TurnOfFrames } from './turn-of-frames.js'

/** Sends one text to everybody who is in a room. */
type FanOut = (room: string, text: string) => void

type Rooms = Map<string, Set<WebSocket>>

/**
 * A server on `ws` without any promise: no rights, no history, no ids. `naive` sends to one subscriber
 * after the other; `joined` collects the frames of a room within a turn of the event loop and writes
 * them with one call a subscriber, which is the least that Node can do.
 */
export async function startRawWs(
  mode: 'naive' | 'joined',
  options: ServerOptions,
): Promise<BenchServer> {
  const http = newHttpServer()
  const wss = new WebSocketServer({ server: http, perMessageDeflate: false })
  const rooms: Rooms = new Map()
  const fanOut = mode === 'naive' ? naiveFanOut(rooms) : joinedFanOut(rooms)
  wss.on('connection', (socket) => {
    socket.on('message', (data: RawData) => handle(socket, rooms, fanOut, textOf(data)))
    socket.on('close', () => {
      for (const members of rooms.values()) members.delete(socket)
    })
  })
  const port = await listen(http, options.port)
  const stop = async (): Promise<void> => {
    for (const socket of wss.clients) socket.terminate()
    wss.close()
    await closeHttp(http)
  }
  return { port, stop }
}

const textOf = (data: RawData): string =>
  Buffer.isBuffer(data) ? data.toString() : Buffer.concat(data as Buffer[]).toString()

function handle(socket: WebSocket, rooms: Rooms, fanOut: FanOut, text: string): void {
  const [kind, id, room, payload] = JSON.parse(text) as [string, number, string, unknown]
  if (kind === 'subscribe') {
    const members = rooms.get(room) ?? new Set()
    rooms.set(room, members.add(socket))
  } else {
    fanOut(room, JSON.stringify(['message', room, payload]))
  }
  socket.send(JSON.stringify(['ack', id, { status: 'success' }]))
}

function naiveFanOut(rooms: Rooms): FanOut {
  return (room, text) => {
    for (const socket of rooms.get(room) ?? []) socket.send(text)
  }
}

function joinedFanOut(rooms: Rooms): FanOut {
  const turn = new TurnOfFrames((room, joined) => {
    for (const socket of rooms.get(room) ?? []) tcpOf(socket).write(joined)
  })
  return (room, text) => turn.add(room, text)
}

/** Not public in `ws`; this server only shows where the limit is. */
const tcpOf = (socket: WebSocket): Socket => (socket as unknown as { _socket: Socket })._socket
