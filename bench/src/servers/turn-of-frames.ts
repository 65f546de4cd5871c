/** The head of an unmasked text frame. */
function frameHead(bytes: number): Buffer {
  if (bytes < 126) return Buffer.from([0x81, bytes])
  if (bytes < 65_536) return Buffer.from([0x81, 126, bytes >> 8, bytes & 0xff])
  const head = Buffer.alloc(10)
  head[0] = 0x81
  head[1] = 127
  head.writeBigUInt64BE(BigInt(bytes), 2)
  return head
}

/** Collects the WebSocket frames of each room until the end of this turn of the event loop. */
export class TurnOfFrames {
  readonly #write: (room: string, joined: Buffer) => void
  readonly #pending = new Map<string, Buffer[]>()

  constructor(write: (room: string, joined: Buffer) => void) {
    this.#write = write
  }

  add(room: string, text: string): void {
    const body = Buffer.from(text)
    const frames = this.#pending.get(room)
    if (frames !== undefined) {
      frames.push(frameHead(body.length), body)
      return
    }
    if (this.#pending.size === 0) setImmediate(() => this.#flush())
    this.#pending.set(room, [frameHead(body.length), body])
  }

  #flush(): void {
    const pending = [...this.#pending]
    this.#pending.clear()
    for (const [room, frames] of pending) this.#write(room, Buffer.concat(frames))
  }
}
