import { NOBODY } from './record.js'

/** One id that a transaction accepted [P4]. */
export interface CommittedId {
  /** Of the topic. */
  readonly number: number
  readonly seq: number
  readonly deliveredTo: number
  readonly from: string | null
  readonly id: string
  readonly hash: string
}

/** Accepted ids of one transaction; all were accepted at one instant. */
export interface CommitRecord {
  readonly timestamp: number
  /** Instant of the broker's own clock: what the window is counted by [L17]. */
  readonly agedAtMs: number
  readonly ids: readonly CommittedId[]
}

const HEADER_BYTES = 8 + 8 + 4
/** Topic number, seq, deliveredTo, the lengths of user, id and hash. */
const ENTRY_BYTES = 6 + 6 + 4 + 2 + 1 + 1
/** Small records share pages of the store; larger ones get pages of their own. */
const TARGET_BYTES = 1_800

/** The ids of one transaction as bodies of records, each small enough to share a page. */
export function encodeCommit(record: CommitRecord): Buffer[] {
  const bodies: Buffer[] = []
  let entries: Buffer[] = []
  let bytes = 0
  const flush = (): void => {
    if (entries.length === 0) return
    const header = Buffer.allocUnsafe(HEADER_BYTES)
    header.writeDoubleLE(record.timestamp, 0)
    header.writeDoubleLE(record.agedAtMs, 8)
    header.writeUInt32LE(entries.length, 16)
    bodies.push(Buffer.concat([header, ...entries]))
    entries = []
    bytes = 0
  }
  for (const id of record.ids) {
    const entry = encodeEntry(id)
    if (bytes + entry.length > TARGET_BYTES) flush()
    entries.push(entry)
    bytes += entry.length
  }
  flush()
  return bodies
}

function encodeEntry({ number, seq, deliveredTo, from, id, hash }: CommittedId): Buffer {
  const user = Buffer.byteLength(from ?? '')
  const entry = Buffer.allocUnsafe(ENTRY_BYTES + user + id.length + Buffer.byteLength(hash))
  entry.writeUIntLE(number, 0, 6)
  entry.writeUIntLE(seq, 6, 6)
  entry.writeUInt32LE(deliveredTo, 12)
  entry.writeUInt16LE(from === null ? NOBODY : user, 16)
  entry[18] = id.length
  entry[19] = Buffer.byteLength(hash)
  entry.write(from ?? '', ENTRY_BYTES)
  entry.write(id, ENTRY_BYTES + user, 'latin1')
  entry.write(hash, ENTRY_BYTES + user + id.length)
  return entry
}

/** When the ids were accepted, and how many they are. */
export function commitFactsOf(body: Buffer): { agedAtMs: number; count: number } {
  return { agedAtMs: body.readDoubleLE(8), count: body.readUInt32LE(16) }
}

export function decodeCommit(body: Buffer): CommitRecord {
  const count = body.readUInt32LE(16)
  const ids: CommittedId[] = []
  let at = HEADER_BYTES
  for (let index = 0; index < count; index += 1) {
    const user = body.readUInt16LE(at + 16)
    const userEnd = at + ENTRY_BYTES + (user === NOBODY ? 0 : user)
    const idEnd = userEnd + body.readUInt8(at + 18)
    const end = idEnd + body.readUInt8(at + 19)
    ids.push({
      number: body.readUIntLE(at, 6),
      seq: body.readUIntLE(at + 6, 6),
      deliveredTo: body.readUInt32LE(at + 12),
      from: user === NOBODY ? null : body.toString('utf8', at + ENTRY_BYTES, userEnd),
      id: body.toString('latin1', userEnd, idEnd),
      hash: body.toString('utf8', idEnd, end),
    })
    at = end
  }
  return { timestamp: body.readDoubleLE(0), agedAtMs: body.readDoubleLE(8), ids }
}
