import { constants, deflateRawSync } from 'node:zlib'

/** The first byte of a WebSocket frame that is a whole text message (RFC 6455, section 5.2). */
const WHOLE_TEXT = 0x81
const LENGTH_IN_16_BITS = 126
const LENGTH_IN_64_BITS = 127
const LONGEST_SHORT = 125
const LONGEST_16_BITS = 0xffff
/** `4`: Engine.IO's packet type `message`, which every Socket.IO packet begins with. */
const MESSAGE = 0x34

/** More is not compressed: it would hold up everybody for milliseconds. */
const MAX_PACKED_BYTES = 128 * 1_024
/** Says that a frame is compressed (RFC 7692, section 7.2.3). */
const RSV1 = 0x40
/** Deflate's empty block at the end of a flush, which receivers add themselves. */
const TAIL_BYTES = 4

/** A Socket.IO packet as text, and its UTF-8 length. */
export interface SizedText {
  readonly text: string
  readonly bytes: number
}

/**
 * The WebSocket frames of Socket.IO packets, one after the other in one buffer, byte for byte as
 * Engine.IO would send each by itself: from a server, so not masked; text, so not packed.
 */
export function framesOf(packets: readonly SizedText[]): Buffer {
  let size = 0
  for (const { bytes } of packets) size += headSize(bytes + 1) + 1 + bytes
  const frames = Buffer.allocUnsafe(size)
  let at = 0
  for (const { text, bytes } of packets) {
    at = writeHead(frames, at, bytes + 1)
    frames[at] = MESSAGE
    at += 1
    // As many bytes as characters: then it is ASCII, which is copied and not encoded.
    at += bytes === text.length ? frames.write(text, at, 'latin1') : frames.write(text, at, 'utf8')
  }
  if (at !== size) throw new Error(`frames of ${size} bytes came to ${at}`)
  return frames
}

/**
 * One packet as a compressed frame, or null where that is not worth while. Made without a memory of
 * what was sent before, so it is right for every WebSocket that has agreed on
 * `server_no_context_takeover` and the largest window.
 */
export function packedFrame({ text, bytes }: SizedText): Buffer | null {
  if (bytes > MAX_PACKED_BYTES) return null
  const packed = deflateRawSync(`4${text}`, { finishFlush: constants.Z_SYNC_FLUSH })
  const length = packed.length - TAIL_BYTES
  if (length > bytes) return null
  const frame = Buffer.allocUnsafe(headSize(length) + length)
  packed.copy(frame, writeHead(frame, 0, length), 0, length)
  frame[0] = WHOLE_TEXT | RSV1
  return frame
}

function headSize(length: number): number {
  if (length <= LONGEST_SHORT) return 2
  return length <= LONGEST_16_BITS ? 4 : 10
}

function writeHead(frames: Buffer, start: number, length: number): number {
  frames[start] = WHOLE_TEXT
  if (length <= LONGEST_SHORT) {
    frames[start + 1] = length
    return start + 2
  }
  if (length <= LONGEST_16_BITS) {
    frames[start + 1] = LENGTH_IN_16_BITS
    return frames.writeUInt16BE(length, start + 2)
  }
  frames[start + 1] = LENGTH_IN_64_BITS
  frames.writeUInt32BE(Math.floor(length / 2 ** 32), start + 2)
  return frames.writeUInt32BE(length % 2 ** 32, start + 6)
}
