import { inflateRawSync, constants } from 'node:zlib'

const FIN = 0x80
const COMPRESSED = 0x40
const RESERVED = 0x30
const TEXT = 1
const BINARY = 2
const CLOSE = 8
const KNOWN = [TEXT, BINARY, CLOSE, 9, 10]
/** What a sender cuts off a compressed message (RFC 7692, section 7.2.1). */
const TAIL = Buffer.from([0, 0, 0xff, 0xff])

/** A frame of a server, whole. */
export interface Frame {
  readonly opcode: number
  readonly payload: Buffer
}

/**
 * Takes apart what a WebSocket server sends, strictly (RFC 6455): it throws at a frame that is masked,
 * fragmented, longer in its head than needed, no UTF-8, and at any byte after a close frame. Each
 * compressed message must stand by itself.
 */
export class FrameReader {
  #rest: Buffer = Buffer.alloc(0)
  #closed = false

  get closed(): boolean {
    return this.#closed
  }

  /** Bytes of a frame that has not come as a whole. */
  get unfinished(): number {
    return this.#rest.length
  }

  read(chunk: Buffer): Frame[] {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    const frames: Frame[] = []
    for (let frame = this.#next(); frame !== null; frame = this.#next()) {
      frames.push(frame)
      if (frame.opcode === CLOSE) this.#closed = true
    }
    return frames
  }

  #next(): Frame | null {
    const rest = this.#rest
    if (this.#closed && rest.length > 0)
      throw new Error(`after a close frame: ${rest.toString('hex', 0, 16)}`)
    const [first, second] = rest
    if (first === undefined || second === undefined) return null
    const opcode = first & 0x0f
    const compressed = (first & COMPRESSED) !== 0
    const faulty = (first & FIN) === 0 || (first & RESERVED) !== 0 || (second & 0x80) !== 0
    if (faulty || !KNOWN.includes(opcode)) {
      throw new Error(`no frame of a server begins with ${rest.toString('hex', 0, 16)}`)
    }
    const size = lengthOf(rest, second)
    if (size === null || rest.length < size.head + size.length) return null
    const payload = rest.subarray(size.head, size.head + size.length)
    this.#rest = rest.subarray(size.head + size.length)
    if (!compressed) return { opcode, payload }
    const finishFlush = constants.Z_SYNC_FLUSH
    return { opcode, payload: inflateRawSync(Buffer.concat([payload, TAIL]), { finishFlush }) }
  }
}

function lengthOf(rest: Buffer, short: number): { head: number; length: number } | null {
  if (short < 126) return { head: 2, length: short }
  const head = short === 126 ? 4 : 10
  if (rest.length < head) return null
  const length = short === 126 ? rest.readUInt16BE(2) : Number(rest.readBigUInt64BE(2))
  if (length < (short === 126 ? 126 : 65_536)) throw new Error(`a length of ${length} in ${head}`)
  return { head, length }
}

/** The text of a frame. @throws where it is no UTF-8 */
export function textOf({ payload }: Frame): string {
  return new TextDecoder('utf-8', { fatal: true }).decode(payload)
}

/** One frame of a client, masked. */
export function maskedFrame(opcode: number, payload: Buffer, mask: Buffer): Buffer {
  const { length } = payload
  const head =
    length < 126
      ? Buffer.from([FIN | opcode, 0x80 | length])
      : length < 65_536
        ? Buffer.from([FIN | opcode, 0x80 | 126, length >> 8, length & 0xff])
        : Buffer.concat([Buffer.from([FIN | opcode, 0x80 | 127, 0, 0, 0, 0]), uint32(length)])
  const masked = Buffer.from(payload)
  for (let at = 0; at < length; at += 1) masked[at] = (payload[at] ?? 0) ^ (mask[at % 4] ?? 0)
  return Buffer.concat([head, mask, masked])
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
