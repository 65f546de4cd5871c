import type { Contender } from '../servers/bench-server.js'
import { payloadText } from './key.js'

/** What a text frame of the server is. */
export type FrameKind = 'opened' | 'ready' | 'message' | 'ack' | 'ping' | 'other' | 'refused'

/** How one kind of server is spoken to. */
export interface Dialect {
  readonly path: string
  /** What is said when the server has said `opened`; null: nothing is waited for. */
  readonly greeting: ((token: string) => string) | null
  readonly pong: string
  readonly kindOf: (buffer: Buffer, start: number, end: number) => FrameKind
  /** Text of a request. */
  readonly subscribe: (id: number, topics: readonly string[]) => string
  readonly publish: (id: number, topic: string, number: number, index: number) => string
  /** Where the number of an acknowledgement begins in the frame. */
  readonly ackIdAt: number
  /** Subscriptions that one request can carry. */
  readonly batch: number
}

const [ZERO, TWO, THREE, FOUR] = [0x30, 0x32, 0x33, 0x34]
const M = 0x6d

/** Socket.IO packets, of which ours are some. `readyAt`: the packet after which requests are taken. */
function socketIoKind(
  readyAt: 'connect' | 'connected',
): (buffer: Buffer, start: number, end: number) => FrameKind {
  return (buffer, start) => {
    const engine = buffer[start]
    if (engine === TWO) return 'ping'
    if (engine === ZERO) return 'opened'
    if (engine !== FOUR) return 'other'
    const packet = buffer[start + 1]
    if (packet === THREE) return 'ack'
    if (packet === ZERO) return readyAt === 'connect' ? 'ready' : 'other'
    if (packet === FOUR) return 'refused'
    if (packet !== TWO) return 'other'
    // 42["message" or 42["connected"
    if (buffer[start + 4] === M) return 'message'
    return readyAt === 'connected' &&
      buffer.toString('latin1', start + 4, start + 13) === 'connected'
      ? 'ready'
      : 'other'
  }
}

const SOCKET_IO = {
  path: '/socket.io/?EIO=4&transport=websocket',
  pong: '3',
  ackIdAt: 2,
} as const

const OURS: Dialect = {
  ...SOCKET_IO,
  greeting: (token) => `40{"token":"${token}","protocol":1}`,
  kindOf: socketIoKind('connected'),
  subscribe: (id, topics) =>
    topics.length === 1
      ? `42${id}["subscribe",{"topic":"${topics[0]}"}]`
      : `42${id}["subscribe",{"topics":[${topics.map((topic) => `{"topic":"${topic}"}`).join()}]}]`,
  publish: (id, topic, number, index) =>
    `42${id}["publish",{"topic":"${topic}","payload":${payloadText(index, number)},"messageId":"m-${index}-${number}"}]`,
  batch: 100,
}

const PLAIN: Dialect = {
  ...SOCKET_IO,
  greeting: (token) => `40{"token":"${token}"}`,
  kindOf: socketIoKind('connect'),
  subscribe: (id, topics) => `42${id}["subscribe","${topics[0]}"]`,
  publish: (id, topic, number, index) =>
    `42${id}["publish","${topic}",${payloadText(index, number)}]`,
  batch: 1,
}

const RAW: Dialect = {
  path: '/',
  greeting: null,
  pong: '',
  // ["message" or ["ack"
  kindOf: (buffer, start) => (buffer[start + 2] === M ? 'message' : 'ack'),
  subscribe: (id, topics) => `["subscribe",${id},"${topics[0]}"]`,
  publish: (id, topic, number, index) =>
    `["publish",${id},"${topic}",${payloadText(index, number)}]`,
  ackIdAt: 7,
  batch: 1,
}

export function dialectOf(contender: Contender): Dialect {
  switch (contender) {
    case 'ours':
    case 'ours-disk-always':
    case 'ours-disk-interval':
      return OURS
    case 'socket-io':
      return PLAIN
    case 'ws-naive':
    case 'ws-joined':
      return RAW
  }
}
