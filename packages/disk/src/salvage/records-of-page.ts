import { headerOf, HEADER_BYTES, NODE_BYTES, PAGE } from '../inspect/format.js'
import { countOf, leafNodeAt, pointerAt, type LeafNode } from '../inspect/nodes.js'
import type { PageFile } from '../inspect/page-file.js'
import { KEY_BYTES, KIND, kindOf } from '../keys.js'
import { unseal } from '../record.js'

/** A record as it stands in a page; `body` is null where it is damaged. */
export interface FoundRecord {
  readonly key: Buffer
  readonly body: Buffer | null
}

/** No record is as large: a length that flipped costs no memory. */
const MAX_RECORD_BYTES = 64 * 1_024 * 1_024
const LAST_KIND = Math.max(...Object.values(KIND))

/** What a page may hold, by whatever is left of it: our own checksum decides on each record. */
export function recordsOfPage(file: PageFile, page: Buffer, number: number): FoundRecord[] {
  const nodes = nodesByPointers(page, number) ?? nodesAnywhere(page)
  return nodes.map((node) => recordOf(file, page, node))
}

/** Null where the page is not wholly what a leaf page should be. */
function nodesByPointers(page: Buffer, number: number): LeafNode[] | null {
  const header = headerOf(page)
  if (header.number !== number || header.flags !== PAGE.leaf) return null
  const count = countOf(page, header)
  if (typeof count === 'string') return null
  const nodes: LeafNode[] = []
  for (let index = 0; index < count; index += 1) {
    const at = pointerAt(page, index)
    const node = at < HEADER_BYTES ? null : leafNodeAt(page, at)
    if (node === null || !looksLikeOurs(page, node)) return null
    nodes.push(node)
  }
  return nodes
}

/**
 * Where the pointers of a page cannot be trusted: whatever looks like a node. No text of a publisher
 * can: a node has bytes of zero, which JSON has not.
 */
function nodesAnywhere(page: Buffer): LeafNode[] {
  const nodes: LeafNode[] = []
  for (let at = HEADER_BYTES; at + NODE_BYTES + KEY_BYTES <= page.length; at += 2) {
    if (page.readUInt16LE(at + 6) !== KEY_BYTES) continue
    const node = leafNodeAt(page, at)
    if (node !== null && looksLikeOurs(page, node)) nodes.push(node)
  }
  return nodes
}

const looksLikeOurs = (page: Buffer, { keyAt, keyBytes }: LeafNode): boolean =>
  keyBytes === KEY_BYTES && (page[keyAt] ?? Infinity) <= LAST_KIND

function recordOf(file: PageFile, page: Buffer, node: LeafNode): FoundRecord {
  const { keyAt, valueAt, valueBytes, overflow } = node
  const key = Buffer.from(page.subarray(keyAt, keyAt + KEY_BYTES))
  // A record that only fills the disk up is none.
  if (kindOf(key) === KIND.ballast) return { key, body: null }
  if (valueBytes > MAX_RECORD_BYTES) return { key, body: null }
  const sealed =
    overflow === null
      ? Buffer.from(page.subarray(valueAt, valueAt + valueBytes))
      : file.read(overflow.page * page.length + HEADER_BYTES, valueBytes)
  return { key, body: sealed.length === valueBytes ? unseal(key, sealed) : null }
}
