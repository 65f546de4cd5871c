import {
  HEADER_BYTES,
  NODE_BYTES,
  numberAt,
  ON_OVERFLOW,
  OVERFLOW_REF_BYTES,
  overflowPagesOf,
  type PageHeader,
} from './format.js'

/** Where something of a leaf page is. */
export interface LeafNode {
  readonly keyAt: number
  readonly keyBytes: number
  readonly valueAt: number
  readonly valueBytes: number
  /** Where the value is, if not on the page itself. */
  readonly overflow: OverflowRef | null
  /** With the byte that makes it even. */
  readonly end: number
}

export interface OverflowRef {
  readonly page: number
  readonly pages: number
  readonly bytes: number
}

/** A node of a leaf page, or null where there cannot be one. */
export function leafNodeAt(page: Buffer, at: number): LeafNode | null {
  if (at + NODE_BYTES > page.length) return null
  const valueBytes = page.readUInt32LE(at)
  const flags = page.readUInt16LE(at + 4)
  const keyBytes = page.readUInt16LE(at + 6)
  if (flags > ON_OVERFLOW) return null
  const keyAt = at + NODE_BYTES
  const valueAt = keyAt + keyBytes
  const inPage = flags === ON_OVERFLOW ? OVERFLOW_REF_BYTES : valueBytes
  const end = (valueAt + inPage + 1) & ~1
  if (end > page.length || end < 0) return null
  if (flags !== ON_OVERFLOW) return { keyAt, keyBytes, valueAt, valueBytes, overflow: null, end }
  const overflow = {
    page: numberAt(page, valueAt),
    pages: numberAt(page, valueAt + 16),
    bytes: valueBytes,
  }
  // A value that got smaller keeps its pages (`mdb_cursor_put`).
  if (overflow.pages < overflowPagesOf(valueBytes, page.length)) return null
  return { keyAt, keyBytes, valueAt, valueBytes, overflow, end }
}

/** What a node of a branch page points to; its page number has six bytes (`NODEPGNO`). */
export interface BranchNode {
  readonly child: number
  readonly keyAt: number
  readonly keyBytes: number
  readonly end: number
}

export function branchNodeAt(page: Buffer, at: number): BranchNode | null {
  if (at + NODE_BYTES > page.length) return null
  const keyBytes = page.readUInt16LE(at + 6)
  const keyAt = at + NODE_BYTES
  const end = (keyAt + keyBytes + 1) & ~1
  if (end > page.length) return null
  return { child: page.readUIntLE(at, 6), keyAt, keyBytes, end }
}

/** How many nodes a page has, or why it cannot be one. */
export function countOf(page: Buffer, { lower, upper }: PageHeader): number | string {
  if (lower % 2 !== 0 || upper % 2 !== 0) return 'odd bounds'
  if (lower > upper || upper > page.length - HEADER_BYTES) return 'bounds outside of the page'
  return lower / 2
}

/** Offset of a node in its page. */
export const pointerAt = (page: Buffer, index: number): number =>
  page.readUInt16LE(HEADER_BYTES + index * 2) + HEADER_BYTES
