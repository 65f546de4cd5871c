import { closeSync, openSync, readSync, statSync } from 'node:fs'

// What a head page of the file says; its library would read past the end of a file that was cut.
const MAGIC = 0xbeefc0de
const AT = { magic: 24, pageBytes: 48, lastPage: 144, transaction: 152, end: 160 }

/** Why a file cannot be a store at all, or null. Reads its two head pages only. */
export function problemOf(file: string): string | null {
  const { size } = statSync(file)
  if (size === 0) return 'it is empty'
  const descriptor = openSync(file, 'r')
  try {
    const first = headPage(descriptor, 0)
    if (first === null) return 'its head is damaged'
    const second = headPage(descriptor, first.pageBytes)
    if (second === null) return 'its second head is damaged'
    const { lastPage } = first.transaction > second.transaction ? first : second
    const needed = (lastPage + 1) * first.pageBytes
    return size < needed ? `it has ${size} bytes of ${needed}` : null
  } finally {
    closeSync(descriptor)
  }
}

function headPage(
  descriptor: number,
  at: number,
): { pageBytes: number; lastPage: number; transaction: number } | null {
  const head = Buffer.alloc(AT.end)
  if (readSync(descriptor, head, 0, AT.end, at) < AT.end) return null
  if (head.readUInt32LE(AT.magic) !== MAGIC) return null
  const pageBytes = head.readUInt32LE(AT.pageBytes)
  if (pageBytes < 512 || pageBytes > 65_536) return null
  const lastPage = Number(head.readBigUInt64LE(AT.lastPage))
  return { pageBytes, lastPage, transaction: Number(head.readBigUInt64LE(AT.transaction)) }
}
