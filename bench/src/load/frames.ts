/** A text frame as a client sends it. The mask is zero, so that masking costs the load nothing. */
export function clientFrame(text: string): Buffer {
  const bytes = Buffer.byteLength(text)
  const long = bytes > 125
  if (bytes > 65_535) throw new Error('the load sends no frames over 64 KiB')
  const frame = Buffer.alloc((long ? 8 : 6) + bytes)
  frame[0] = 0x81
  frame[1] = 0x80 | (long ? 126 : bytes)
  if (long) frame.writeUInt16BE(bytes, 2)
  frame.write(text, long ? 8 : 6)
  return frame
}

/** The answer to a WebSocket ping; its body is not echoed because nobody here sends one. */
export const PONG_FRAME = Buffer.from([0x8a, 0x80, 0, 0, 0, 0])

export const TEXT = 1
export const CLOSE = 8
export const PING = 9

/** A frame's body is `buffer[start … end)`, only until the call returns. */
export type OnFrame = (opcode: number, buffer: Buffer, start: number, end: number) => void

const EMPTY = Buffer.alloc(0)

/** Cuts the bytes from a server into WebSocket frames. Compressed and fragmented ones are refused. */
export class FrameReader {
  readonly #onFrame: OnFrame
  #rest: Buffer = EMPTY

  constructor(onFrame: OnFrame) {
    this.#onFrame = onFrame
  }

  /** The bytes may be overwritten as soon as this returns: half a frame is copied. */
  read(chunk: Buffer): void {
    const data = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    const used = this.#readFrames(data)
    this.#rest = used === data.length ? EMPTY : Buffer.from(data.subarray(used))
  }

  #readFrames(data: Buffer): number {
    let at = 0
    while (at + 2 <= data.length) {
      const first = data[at] ?? 0
      if (first < 0x80 || (first & 0x70) !== 0) throw new Error(`frame head ${first}`)
      const short = data[at + 1] ?? 0
      let start = at + 2
      let bytes = short
      if (short === 126) {
        if (at + 4 > data.length) break
        bytes = data.readUInt16BE(start)
        start += 2
      } else if (short === 127) {
        if (at + 10 > data.length) break
        bytes = Number(data.readBigUInt64BE(start))
        start += 8
      } else if (short > 127) throw new Error('a server masks no frames')
      if (start + bytes > data.length) break
      this.#onFrame(first & 0x0f, data, start, start + bytes)
      at = start + bytes
    }
    return at
  }
}
