// The file as lmdb 3.5.6 writes it: `MDB_page_header`, `MDB_meta`, `MDB_db`, `MDB_node`, `MDB_ovpage`
// and `MDB_IDL` of `dependencies/lmdb/libraries/liblmdb/mdb.c` and `midl.h` in its package. Numbers are
// little-endian there and here: the library itself writes the byte order of the machine.

/** `MDB_page_header`: its own number, the transaction that wrote it, padding, flags, bounds. */
export const HEADER_BYTES = 24
/** `P_*`. What is written never has the flags of a page in memory. */
export const PAGE = { branch: 0x01, leaf: 0x02, overflow: 0x04, meta: 0x08 } as const
/** `MDB_node`: two halves of a size (or of a page number), flags, length of the key. */
export const NODE_BYTES = 8
/** `F_BIGDATA`: the value is on overflow pages; in its place is an `MDB_ovpage`. */
export const ON_OVERFLOW = 0x01
/** `MDB_ovpage`: page number, transaction, number of pages. */
export const OVERFLOW_REF_BYTES = 24
/** `mm_magic` and `mm_version` of `MDB_meta`. */
const MAGIC = 0xbeefc0de
const VERSION = 2
/** `P_INVALID`, the root of an empty tree: all bits are set. */
const NO_PAGE = 0xffff_ffff_ffff_ffffn
/** `MDB_OVERLAPPINGSYNC` in `mm_flags`: written before its pages were on the disk. */
const NOT_SYNCED = 0x1000
/** `MDB_INTEGERKEY`: keys of the free list are numbers. */
const INTEGER_KEY = 0x08
const MIN_PAGE_BYTES = 512
const MAX_PAGE_BYTES = 65_536
/** Offsets in `MDB_meta`, from the beginning of its page. */
const META = {
  magic: 24,
  version: 28,
  free: 48,
  main: 96,
  lastPage: 144,
  transaction: 152,
  boot: 160,
}
const META_END = 168

/** `MDB_db`: what the file says of one tree. */
export interface TreeFacts {
  readonly flags: number
  readonly depth: number
  readonly branchPages: number
  readonly leafPages: number
  readonly overflowPages: number
  readonly entries: number
  /** Null: the tree is empty. */
  readonly root: number | null
}

/** `MDB_meta`: one state of the file. */
export interface Snapshot {
  readonly pageBytes: number
  readonly free: TreeFacts
  readonly main: TreeFacts
  readonly lastPage: number
  readonly transaction: number
  /** `boot_id` of the machine that wrote it; 0: not known. */
  readonly boot: bigint
  readonly synced: boolean
}

export interface PageHeader {
  readonly number: number
  readonly transaction: number
  readonly flags: number
  /** Ends of the pointers and begin of the nodes, counted from the header's end (`PAGEBASE`). */
  readonly lower: number
  readonly upper: number
  /** The same bytes on an overflow page: how many pages it has. */
  readonly pages: number
}

export function headerOf(page: Buffer): PageHeader {
  return {
    number: numberAt(page, 0),
    transaction: numberAt(page, 8),
    flags: page.readUInt16LE(18),
    lower: page.readUInt16LE(20),
    upper: page.readUInt16LE(22),
    pages: page.readUInt32LE(20),
  }
}

/** Past 2^53 it is inexact, and larger than any page number can be. */
export const numberAt = (bytes: Buffer, at: number): number =>
  bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * 2 ** 32

/** `OVPAGES`: the pages that a value of that size takes. */
export const overflowPagesOf = (bytes: number, pageBytes: number): number =>
  Math.floor((HEADER_BYTES - 1 + bytes) / pageBytes) + 1

/** One of the two head pages, or why it is none. */
export function snapshotOf(page: Buffer, number: number): Snapshot | string {
  if (page.length < META_END) return `head page ${number} is cut`
  if (page.readUInt16LE(18) !== PAGE.meta) return `head page ${number} has wrong flags`
  if (numberAt(page, 0) !== number) return `head page ${number} has a wrong number`
  if (page.readUInt32LE(META.magic) !== MAGIC) return `head page ${number} has no magic number`
  const version = page.readUInt32LE(META.version)
  if (version !== VERSION) return `head page ${number} has version ${version}`
  const snapshot = factsOf(page)
  const { pageBytes } = snapshot
  const isPower = (pageBytes & (pageBytes - 1)) === 0
  if (!isPower || pageBytes < MIN_PAGE_BYTES || pageBytes > MAX_PAGE_BYTES) {
    return `head page ${number} has pages of ${pageBytes} bytes`
  }
  return snapshot
}

/**
 * What is known to be on the disk, where commits do not wait for it: in the middle of page 0, without
 * the fields before `mm_mapsize` (`mdb_env_write_meta`). Null where it was never written.
 */
export function syncedSnapshotOf(page: Buffer, pageBytes: number): Snapshot | null {
  const half = page.subarray(pageBytes >> 1)
  if (half.length < META_END) return null
  const snapshot = factsOf(half)
  return snapshot.transaction === 0 ? null : snapshot
}

function factsOf(page: Buffer): Snapshot {
  return {
    pageBytes: page.readUInt32LE(META.free),
    free: treeOf(page, META.free),
    main: treeOf(page, META.main),
    lastPage: numberAt(page, META.lastPage),
    transaction: numberAt(page, META.transaction),
    boot: page.readBigInt64LE(META.boot),
    synced: (page.readUInt16LE(META.free + 4) & NOT_SYNCED) === 0,
  }
}

function treeOf(page: Buffer, at: number): TreeFacts {
  return {
    flags: page.readUInt16LE(at + 4),
    depth: page.readUInt16LE(at + 6),
    branchPages: numberAt(page, at + 8),
    leafPages: numberAt(page, at + 16),
    overflowPages: numberAt(page, at + 24),
    entries: numberAt(page, at + 32),
    root: page.readBigUInt64LE(at + 40) === NO_PAGE ? null : numberAt(page, at + 40),
  }
}

/** `mdb_pick_meta` for a file that is opened with overlapping sync: after a crash of the machine the older one. */
export function pickSafe(one: Snapshot, other: Snapshot, boot: bigint): Snapshot {
  const latest = one.transaction >= other.transaction ? one : other
  if ((latest.boot !== 0n && latest.boot === boot) || latest.synced) return latest
  return one.transaction > other.transaction ? other : one
}

/** Flags that decide how a tree is read: this package's trees have no others. */
export const treeFlagsProblem = ({ free, main }: Snapshot): string | null => {
  if (main.flags !== 0) return `the tree of records has flags ${main.flags}`
  const sorting = free.flags & 0xff
  return sorting === INTEGER_KEY ? null : `the free list has flags ${free.flags}`
}
