import { connect, type Socket } from 'node:net'
import { CLOSE, FrameReader, PING, PONG_FRAME, TEXT } from './frames.js'

/** All connections read into the same memory: what is read is used up before the next read. */
const READ_BUFFER = Buffer.allocUnsafeSlow(256 * 1_024)

export interface RawHandlers {
  /** A text frame: `buffer[start … end)`, until the call returns. */
  readonly onText: (buffer: Buffer, start: number, end: number) => void
  /** Bytes of one read have been handled: the time to send answers together. */
  readonly onReadEnd: () => void
  /** The connection is gone; called once, also where it never opened. */
  readonly onEnd: (why: string) => void
}

/** A WebSocket on a bare TCP socket: as little work as a client can do, so that the server is the limit. */
export class RawConnection {
  readonly #socket: Socket
  readonly #handlers: RawHandlers
  readonly #frames: FrameReader
  #head: string | null = ''
  #opened: (() => void) | null
  #ended = false

  constructor(port: number, path: string, handlers: RawHandlers, opened: () => void) {
    this.#handlers = handlers
    this.#opened = opened
    this.#frames = new FrameReader((opcode, buffer, start, end) => {
      if (opcode === TEXT) handlers.onText(buffer, start, end)
      else if (opcode === PING) this.send(PONG_FRAME)
      else if (opcode === CLOSE) this.end('closed by the server')
    })
    this.#socket = connect({
      port,
      host: '127.0.0.1',
      noDelay: true,
      onread: {
        buffer: READ_BUFFER,
        callback: (bytes: number) => {
          this.#read(READ_BUFFER.subarray(0, bytes))
          return true
        },
      },
    })
    this.#socket.on('connect', () => {
      this.#socket.write(
        `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: Upgrade\r\n` +
          'Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
          'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
      )
    })
    this.#socket.on('error', (error) => this.end(error.message))
    this.#socket.on('close', () => this.end('ended'))
  }

  get bytesRead(): number {
    return this.#socket.bytesRead
  }

  send(frames: Buffer): void {
    if (!this.#ended) this.#socket.write(frames)
  }

  end(why: string): void {
    if (this.#ended) return
    this.#ended = true
    this.#socket.destroy()
    this.#handlers.onEnd(why)
  }

  #read(chunk: Buffer): void {
    if (this.#ended) return
    const body = this.#head === null ? chunk : this.#readHead(chunk)
    if (body === null || body.length === 0) return
    this.#frames.read(body)
    this.#handlers.onReadEnd()
  }

  /** The HTTP answer; what follows it in the same bytes are frames. */
  #readHead(chunk: Buffer): Buffer | null {
    this.#head += chunk.toString('latin1')
    const end = this.#head?.indexOf('\r\n\r\n') ?? -1
    if (end < 0) return null
    const head = this.#head ?? ''
    this.#head = null
    if (!head.startsWith('HTTP/1.1 101')) {
      this.end(`refused: ${head.slice(0, head.indexOf('\r\n'))}`)
      return null
    }
    this.#opened?.()
    this.#opened = null
    return Buffer.from(head.slice(end + 4), 'latin1')
  }
}
