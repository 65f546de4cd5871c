import { NOBODY } from './record.js'

/** One retained publication, with all that a rescue needs: it can stand alone. Its id's result is in a `CommitRecord`. */
export interface PublicationRecord {
  readonly topic: string
  readonly id: string
  readonly from: string | null
  /** Wall clock at append. */
  readonly timestamp: number
  /** Instant of the broker's own clock at append: what ages are counted by [L2]. */
  readonly agedAtMs: number
  readonly payloadJson: string
}

/** Both instants, the lengths of topic, id and user. */
const HEADER_BYTES = 8 + 8 + 3 * 2
const AT = { timestamp: 0, agedAt: 8, lengths: 16, user: 20 }

export function encodePublication(record: PublicationRecord): Buffer {
  const { topic, id, from, payloadJson } = record
  const parts = [topic, id, from ?? ''].map((text) => Buffer.from(text))
  const header = Buffer.allocUnsafe(HEADER_BYTES)
  header.writeDoubleLE(record.timestamp, AT.timestamp)
  header.writeDoubleLE(record.agedAtMs, AT.agedAt)
  for (const [index, part] of parts.entries()) {
    const length = index === 2 && from === null ? NOBODY : part.length
    header.writeUInt16LE(length, AT.lengths + index * 2)
  }
  return Buffer.concat([header, ...parts, Buffer.from(payloadJson)])
}

/** What retention asks of a record. */
export interface PublicationFacts {
  readonly agedAtMs: number
  readonly payloadBytes: number
}

export function factsOf(body: Buffer): PublicationFacts {
  const { payload } = layoutOf(body)
  return { agedAtMs: body.readDoubleLE(AT.agedAt), payloadBytes: body.length - payload }
}

export function decodePublication(body: Buffer): PublicationRecord {
  const { topic, id, from, payload } = layoutOf(body)
  return {
    topic: body.toString('utf8', topic, id),
    id: body.toString('utf8', id, from),
    from: body.readUInt16LE(AT.user) === NOBODY ? null : body.toString('utf8', from, payload),
    timestamp: body.readDoubleLE(AT.timestamp),
    agedAtMs: body.readDoubleLE(AT.agedAt),
    payloadJson: body.toString('utf8', payload),
  }
}

function layoutOf(body: Buffer): { topic: number; id: number; from: number; payload: number } {
  const topic = HEADER_BYTES
  const id = topic + body.readUInt16LE(AT.lengths)
  const from = id + body.readUInt16LE(AT.lengths + 2)
  const user = body.readUInt16LE(AT.user)
  return { topic, id, from, payload: from + (user === NOBODY ? 0 : user) }
}

/** From how many bytes on the store gives a record pages of its own. */
const LARGE_BYTES = 2_000
const PAGE_BYTES = 4_096
/** Key, checksum and the store's own fields of a record. */
const RECORD_OVERHEAD_BYTES = 32

/** About what a publication takes on the disk: what [L18] bounds. */
export function heldBytesOf(bodyBytes: number): number {
  const bytes = bodyBytes + RECORD_OVERHEAD_BYTES
  return bytes < LARGE_BYTES ? bytes : Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES
}
