import { connect, type Socket } from 'node:net'

/**
 * A WebSocket client that does only what a test tells it: it answers neither pings nor close frames,
 * and can stop reading. Everything that arrived is kept as text, frame heads and all.
 */
export class RawSocket {
  readonly tcp: Socket
  text = ''
  closed = false
  readonly #waiting = new Set<() => void>()

  private constructor(tcp: Socket) {
    this.tcp = tcp
    tcp.on('data', (chunk: Buffer) => {
      this.text += chunk.toString('latin1')
      this.#check()
    })
    tcp.on('error', () => undefined)
    tcp.on('close', () => {
      this.closed = true
      this.#check()
    })
  }

  /** Opens a transport, without joining. */
  static async open(url: string, query: string = ''): Promise<RawSocket> {
    const { hostname, port } = new URL(url)
    const raw = new RawSocket(connect(Number(port), hostname))
    raw.tcp.write(
      `GET /socket.io/?EIO=4&transport=websocket${query} HTTP/1.1\r\nHost: ${hostname}:${port}\r\n` +
        'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
    )
    await raw.until(() => raw.text.includes('\r\n\r\n'))
    return raw
  }

  /** Opens a transport and joins with an `auth`; resolves when `connected` has arrived. */
  static async join(url: string, auth: object): Promise<RawSocket> {
    const raw = await RawSocket.open(url)
    raw.send(`40${JSON.stringify(auth)}`)
    await raw.until(() => raw.text.includes('["connected",'))
    return raw
  }

  /** Sends one text frame. A mask of zeros changes nothing. */
  send(text: string): void {
    const body = Buffer.from(text)
    const head =
      body.length < 126
        ? Buffer.from([0x81, 0x80 | body.length, 0, 0, 0, 0])
        : Buffer.from([0x81, 0x80 | 126, body.length >> 8, body.length & 0xff, 0, 0, 0, 0])
    this.tcp.write(Buffer.concat([head, body]))
  }

  /** No limit of its own: the runner's counts. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await new Promise<void>((resolve) => {
        this.#waiting.add(resolve)
      })
    }
  }

  /** Resolves when the server has ended the TCP connection. */
  end(): Promise<void> {
    return this.until(() => this.closed)
  }

  #check(): void {
    const waiting = Array.from(this.#waiting)
    this.#waiting.clear()
    for (const wake of waiting) wake()
  }
}
