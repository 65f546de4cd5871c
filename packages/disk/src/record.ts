import { crc32 } from 'node:zlib'

/** The checksum covers the key, too: a record in another's place is damage. It stands first, little-endian. */
export const CHECKSUM_BYTES = 4

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

/** Length of a user id that is not there: the server itself published. */
export const NOBODY = 0xffff
