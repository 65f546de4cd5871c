import { crc32 } from 'node:zlib'

/** What is kept of one accepted publish [P4]; without the text once only its id matters any more. */
export interface PublicationRecord {
  readonly topic: string
  readonly id: string
  readonly from: string | null
  readonly hash: string
  readonly timestamp: number
  readonly deliveredTo: number
  readonly payloadJson: string
}

const CHECKSUM_BYTES = 4
/** Checksum, timestamp, deliveredTo, the lengths of topic, id, user and hash. */
const HEADER_BYTES = CHECKSUM_BYTES + 8 + 4 + 4 * 2
/** Length of a user id that is not there: the server itself published. */
const NOBODY = 0xffff

/** The checksum covers the key, too: a record in another's place is damage. */
export function seal(key: Buffer, body: Buffer): Buffer {
  const sealed = Buffer.allocUnsafe(CHECKSUM_BYTES + body.length)
  sealed.writeUInt32LE(crc32(body, crc32(key)))
  body.copy(sealed, CHECKSUM_BYTES)
  return sealed
}

/** The body, or null where the record is damaged. */
export function unseal(key: Buffer, sealed: Buffer): Buffer | null {
  if (sealed.length < CHECKSUM_BYTES) return null
  const body = sealed.subarray(CHECKSUM_BYTES)
  return crc32(body, crc32(key)) === sealed.readUInt32LE() ? body : null
}

export function encodePublication(key: Buffer, record: PublicationRecord): Buffer {
  const { topic, id, from, hash, payloadJson } = record
  const parts = [topic, id, from ?? '', hash].map((text) => Buffer.from(text))
  const header = Buffer.allocUnsafe(HEADER_BYTES - CHECKSUM_BYTES)
  header.writeDoubleLE(record.timestamp, 0)
  header.writeUInt32LE(record.deliveredTo, 8)
  for (const [index, part] of parts.entries()) {
    header.writeUInt16LE(index === 2 && from === null ? NOBODY : part.length, 12 + index * 2)
  }
  return seal(key, Buffer.concat([header, ...parts, Buffer.from(payloadJson)]))
}

/** What can be told without making texts of it: a start reads all records. */
export interface RecordFacts {
  readonly timestamp: number
  readonly payloadBytes: number
}

export function factsOf(body: Buffer): RecordFacts {
  const { payload } = layoutOf(body)
  return { timestamp: body.readDoubleLE(0), payloadBytes: body.length - payload }
}

export function decodePublication(body: Buffer): PublicationRecord {
  const { topic, id, from, hash, payload } = layoutOf(body)
  return {
    topic: body.toString('utf8', topic, id),
    id: body.toString('utf8', id, from),
    from: body.readUInt16LE(16) === NOBODY ? null : body.toString('utf8', from, hash),
    hash: body.toString('utf8', hash, payload),
    timestamp: body.readDoubleLE(0),
    deliveredTo: body.readUInt32LE(8),
    payloadJson: body.toString('utf8', payload),
  }
}

function layoutOf(body: Buffer) {
  const topic = HEADER_BYTES - CHECKSUM_BYTES
  const id = topic + body.readUInt16LE(12)
  const from = id + body.readUInt16LE(14)
  const user = body.readUInt16LE(16)
  const hash = from + (user === NOBODY ? 0 : user)
  return { topic, id, from, hash, payload: hash + body.readUInt16LE(18) }
}
