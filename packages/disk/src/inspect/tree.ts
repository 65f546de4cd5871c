import { KEY_BYTES } from '../keys.js'
import {
  HEADER_BYTES,
  headerOf,
  NODE_BYTES,
  ON_OVERFLOW,
  OVERFLOW_REF_BYTES,
  PAGE,
  type Snapshot,
  type TreeFacts,
} from './format.js'
import { branchNodeAt, countOf, leafNodeAt, pointerAt, type LeafNode } from './nodes.js'
import type { PageFile } from './page-file.js'
import { Tiling } from './tiling.js'

/** What is known of each page: how `PageMarks` are read. */
export const MARK = { unknown: 0, reached: 1, free: 2 } as const
export type PageMarks = Uint8Array

/** `CURSOR_STACK` of the library: deeper trees it cannot read. */
const MAX_DEPTH = 32
/** Keys of the free list are transaction numbers (`MDB_INTEGERKEY`). */
const KEY_LENGTHS = { main: KEY_BYTES, free: 8 } as const

export interface TreeParts {
  readonly file: PageFile
  readonly snapshot: Snapshot
  readonly kind: 'main' | 'free'
  readonly marks: PageMarks
  /** Something does not fit; what is under it is left out. May throw to end the walk. */
  readonly problem: (text: string) => void
  /** A leaf page that is as it should be. Looking at pages alone is much quicker. */
  readonly leaf?: (page: Buffer, number: number, nodes: readonly LeafNode[]) => void
}

/** A page and the keys that may be under it: `from` on, without `end`. */
interface Reached {
  readonly number: number
  readonly from: string | null
  readonly end: string | null
  /** Of the page above: a page is never newer than what points to it. */
  readonly transaction: number
}

/** Counts of what was found; compared with what the head page says. */
interface Counts {
  branchPages: number
  leafPages: number
  overflowPages: number
  entries: number
}

interface Walk {
  readonly counts: Counts
  readonly tiling: Tiling
}

/**
 * Walks a tree from its root: branch pages level by level, then all leaf pages in the order of the
 * file, so that a store is read once from its beginning to its end. Checks whatever the library
 * relies on without looking.
 */
export function walkTree(parts: TreeParts): void {
  const tree = parts.snapshot[parts.kind]
  const counts: Counts = { branchPages: 0, leafPages: 0, overflowPages: 0, entries: 0 }
  const walk = { counts, tiling: new Tiling() }
  if (tree.root !== null) {
    if (tree.depth < 1 || tree.depth > MAX_DEPTH) {
      parts.problem(`a tree of depth ${tree.depth}`)
      return
    }
    const { transaction } = parts.snapshot
    let level: Reached[] = [{ number: tree.root, from: null, end: null, transaction }]
    for (let depth = 1; depth < tree.depth; depth += 1) {
      level = level.flatMap((branch) => childrenOf(branch, parts, walk))
    }
    level.sort((one, other) => one.number - other.number)
    for (const leaf of level) readLeaf(leaf, parts, walk)
  } else if (tree.depth !== 0) parts.problem('an empty tree with a depth')
  compare(counts, tree, parts)
}

function compare(counts: Counts, tree: TreeFacts, { problem, kind }: TreeParts): void {
  for (const name of ['branchPages', 'leafPages', 'overflowPages', 'entries'] as const) {
    if (counts[name] !== tree[name]) {
      problem(`${kind}: ${counts[name]} ${name} where the head page says ${tree[name]}`)
    }
  }
}

/** The page, if it is there and nobody else has it. */
function claim(reached: Reached, parts: TreeParts, how: 'page' | 'singlePage'): Buffer | null {
  const { number } = reached
  const { marks, snapshot, file } = parts
  if (number < 2 || number > snapshot.lastPage || number >= marks.length) {
    parts.problem(`page ${number} is outside of the file`)
    return null
  }
  if (marks[number] !== MARK.unknown) {
    parts.problem(`page ${number} has two uses`)
    return null
  }
  const page = file[how](number, snapshot.pageBytes)
  if (page === null) {
    parts.problem(`page ${number} is cut off`)
    return null
  }
  marks[number] = MARK.reached
  return page
}

/** Why a page is not what the one above it says, or how many nodes it has. */
function headerProblem(page: Buffer, reached: Reached, flags: number): number | string {
  const header = headerOf(page)
  if (header.number !== reached.number) return `it says that it is page ${header.number}`
  if (header.flags !== flags) return `flags ${header.flags} where ${flags} are expected`
  if (header.transaction > reached.transaction) return 'it is newer than what points to it'
  return countOf(page, header)
}

function childrenOf(reached: Reached, parts: TreeParts, walk: Walk): Reached[] {
  const { counts, tiling } = walk
  const page = claim(reached, parts, 'singlePage')
  if (page === null) return []
  const bad = (why: string): Reached[] => {
    parts.problem(`page ${reached.number}: ${why}`)
    return []
  }
  const count = headerProblem(page, reached, PAGE.branch)
  if (typeof count === 'string') return bad(count)
  if (count < 1) return bad('a branch page without a node')
  counts.branchPages += 1
  const { transaction, upper } = headerOf(page)
  tiling.begin()
  const numbers: number[] = []
  // The key of the first node is not read (`mdb_node_search` begins with the second).
  const keys: (string | null)[] = [reached.from]
  for (let index = 0; index < count; index += 1) {
    const at = pointerAt(page, index)
    const node = branchNodeAt(page, at)
    if (node === null) return bad('a node outside of the page')
    tiling.add(at, node.end)
    numbers.push(node.child)
    if (index === 0) continue
    const key = keyText(page, node.keyAt, node.keyBytes, parts.kind)
    const before = keys[index - 1] ?? null
    if (key === null || !isBetween(key, before, reached.end)) return bad('a key out of order')
    if (index > 1 && key === before) return bad('a key twice')
    keys.push(key)
  }
  if (!tiling.isWhole(upper + HEADER_BYTES, page.length))
    return bad('nodes that overlap or leave holes')
  return numbers.map((number, index) => {
    const end = index + 1 < count ? (keys[index + 1] ?? null) : reached.end
    return { number, from: keys[index] ?? null, end, transaction }
  })
}

function readLeaf(reached: Reached, parts: TreeParts, { counts, tiling }: Walk): void {
  const page = claim(reached, parts, 'page')
  if (page === null) return
  const large: number[] = []
  const checked = checkLeaf(page, reached, { kind: parts.kind, tiling, large })
  if (typeof checked === 'string') {
    parts.problem(`page ${reached.number}: ${checked}`)
    return
  }
  counts.leafPages += 1
  counts.entries += checked
  for (const at of large) {
    const overflow = leafNodeAt(page, at)?.overflow ?? null
    if (overflow === null) parts.problem(`page ${reached.number}: a value without its pages`)
    else if (claimOverflow(overflow, parts)) counts.overflowPages += overflow.pages
  }
  if (parts.leaf === undefined) return
  const nodes = Array.from({ length: checked }, (_, index) =>
    leafNodeAt(page, pointerAt(page, index)),
  )
  parts.leaf(
    page,
    reached.number,
    nodes.filter((node) => node !== null),
  )
}

/**
 * How many nodes a leaf page has, or what is wrong with it; into `large` go the places of nodes whose
 * values are on other pages. Makes no object for a node: a large store has millions.
 */
function checkLeaf(
  page: Buffer,
  reached: Reached,
  { kind, tiling, large }: { kind: 'main' | 'free'; tiling: Tiling; large: number[] },
): number | string {
  const count = headerProblem(page, reached, PAGE.leaf)
  if (typeof count === 'string') return count
  if (count < 1) return 'a leaf page without a node'
  tiling.begin()
  const keyBytes = KEY_LENGTHS[kind]
  const lastStart = page.length - NODE_BYTES - keyBytes
  let [first, before] = [0, 0]
  for (let index = 0; index < count; index += 1) {
    const at = u16At(page, HEADER_BYTES + index * 2) + HEADER_BYTES
    if (at > lastStart) return 'a node outside of the page'
    const flags = u16At(page, at + 4)
    const isLarge = flags === ON_OVERFLOW
    if (flags > ON_OVERFLOW || u16At(page, at + 6) !== keyBytes) return 'a node that cannot be one'
    const valueBytes = isLarge ? OVERFLOW_REF_BYTES : u16At(page, at) + u16At(page, at + 2) * 65_536
    const end = at + NODE_BYTES + keyBytes + valueBytes
    if (end > page.length) return 'a node outside of the page'
    const keyAt = at + NODE_BYTES
    if (index > 0 && !isAscending(page, before, keyAt, kind)) return 'a key out of order'
    if (index === 0) first = keyAt
    before = keyAt
    if (isLarge) large.push(at)
    tiling.add(at, end + (end & 1))
  }
  for (const keyAt of [first, before]) {
    const key = keyText(page, keyAt, keyBytes, kind)
    if (key === null || !isBetween(key, reached.from, reached.end)) return 'a key of another page'
  }
  const { upper } = headerOf(page)
  const isWhole = tiling.isWhole(upper + HEADER_BYTES, page.length)
  return isWhole ? count : 'nodes that overlap or leave holes'
}

const u16At = (page: Buffer, at: number): number => (page[at] ?? 0) | ((page[at + 1] ?? 0) << 8)

/** Whether a key is below another one of the same page; both have the length of their kind. */
function isAscending(page: Buffer, one: number, other: number, kind: 'main' | 'free'): boolean {
  const bytes = KEY_LENGTHS[kind]
  for (let index = 0; index < bytes; index += 1) {
    const at = kind === 'main' ? index : bytes - 1 - index
    const difference = (page[one + at] ?? 0) - (page[other + at] ?? 0)
    if (difference !== 0) return difference < 0
  }
  return false
}

/** Only the first of these pages has a header; what is in them has the record's own checksum. */
function claimOverflow(
  { page, pages }: { readonly page: number; readonly pages: number },
  { file, snapshot, marks, problem }: TreeParts,
): boolean {
  const end = page + pages
  if (page < 2 || end > snapshot.lastPage + 1 || end > marks.length) {
    problem(`overflow pages from ${page} on are outside of the file`)
    return false
  }
  if (end * snapshot.pageBytes > file.sizeBytes) {
    problem(`overflow pages from ${page} on are cut off`)
    return false
  }
  const header = headerOf(file.read(page * snapshot.pageBytes, HEADER_BYTES))
  const fits = header.number === page && header.flags === PAGE.overflow && header.pages === pages
  if (!fits || header.transaction > snapshot.transaction) {
    problem(`page ${page} is not the beginning of ${pages} overflow pages`)
    return false
  }
  for (let number = page; number < end; number += 1) {
    if (marks[number] !== MARK.unknown) {
      problem(`page ${number} has two uses`)
      return false
    }
    marks[number] = MARK.reached
  }
  return true
}

/** A key as a text whose order is that of the tree, or null where no key has that length. */
function keyText(page: Buffer, at: number, bytes: number, kind: 'main' | 'free'): string | null {
  if (bytes !== KEY_LENGTHS[kind]) return null
  if (kind === 'main') return page.toString('latin1', at, at + bytes)
  return Buffer.from(page.subarray(at, at + bytes))
    .reverse()
    .toString('latin1')
}

const isBetween = (key: string, from: string | null, end: string | null): boolean =>
  (from === null || key >= from) && (end === null || key < end)
