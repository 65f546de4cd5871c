const NUMBER_BYTES = 6
const MAX_NUMBER = 2 ** 48 - 1

/**
 * What the first byte of a key says. `commit`: the ids that one transaction accepted. `doomed`: a
 * forgotten topic whose publications are still to be removed. `ballast`: fills a transaction that
 * tries whether there is room again.
 */
export const KIND = {
  meta: 0,
  topic: 1,
  publication: 2,
  commit: 3,
  doomed: 4,
  ballast: 5,
} as const

export type Kind = (typeof KIND)[keyof typeof KIND]

/** Kind, number (of a topic or of a commit), and a `seq` of the stream where the kind has one. */
export const KEY_BYTES: number = 1 + 2 * NUMBER_BYTES

export function keyOf(kind: Kind, number = 0, seq = 0): Buffer {
  const key = Buffer.alloc(KEY_BYTES)
  key[0] = kind
  key.writeUIntBE(number, 1, NUMBER_BYTES)
  key.writeUIntBE(seq, 1 + NUMBER_BYTES, NUMBER_BYTES)
  return key
}

/** The end of what has the same kind, or the same kind and number: no key is as large. */
export const endOf = (kind: Kind, number: number = MAX_NUMBER): Buffer =>
  keyOf(kind, number, MAX_NUMBER)

export const kindOf = (key: Buffer): number => key[0] ?? -1
export const numberOf = (key: Buffer): number => key.readUIntBE(1, NUMBER_BYTES)
export const seqOf = (key: Buffer): number => key.readUIntBE(1 + NUMBER_BYTES, NUMBER_BYTES)

/** The one record that says how the store was left. */
export const META: Buffer = keyOf(KIND.meta)
