import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, expect, test } from 'vitest'
import { KIND, keyOf } from '../keys.js'
import { put, remove, Store, type Change } from '../store.js'
import { headerOf, PAGE, snapshotOf, type Snapshot } from './format.js'
import { inspectFile } from './inspect-file.js'
import type { LeafNode } from './nodes.js'
import { PageFile } from './page-file.js'
import { walkTree } from './tree.js'

const PAGE_BYTES = 4_096
const folder = mkdtempSync(join(tmpdir(), 'disk-inspect-'))
const file = join(folder, 'store')

beforeEach(() => {
  for (const name of [file, `${file}-lock`]) rmSync(name, { force: true })
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const sound = { sound: true }
const inspect = (path = file, overlapping = false) => inspectFile(path, { overlapping })

/** Numbers of a seed, the same everywhere. */
function seeded(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31
    return Math.floor((state / 2 ** 31) * below)
  }
}

/** One transaction: small and large values, some replaced, sometimes most of them removed. */
function someChanges(random: (below: number) => number): Change[] {
  const removes = random(10) < 4
  return Array.from({ length: random(400) }, () => {
    const key = keyOf(KIND.publication, 1 + random(4), random(1_500))
    if (removes) return remove(key)
    return put(key, Buffer.alloc(random(20) === 0 ? random(150_000) : random(800), 'a'))
  })
}

test.each(['always', 'interval'] as const)(
  '[P6] no false alarm on any state that the library leaves: fsync %s',
  async (fsync) => {
    const random = seeded(fsync === 'always' ? 11 : 12)
    let store = Store.open(file, { fsync })
    expect(inspect(file, fsync === 'interval')).toEqual(sound)
    for (let transaction = 0; transaction < 120; transaction += 1) {
      await store.write(someChanges(random))
      expect(inspect(file, fsync === 'interval')).toEqual(sound)
      if (random(10) > 0) continue
      await store.close()
      store = Store.open(file, { fsync })
      expect(inspect(file, fsync === 'interval')).toEqual(sound)
    }
    const all = [...store.records(KIND.publication)].map(({ key }) => remove(key))
    await store.write(all)
    expect(inspect(file, fsync === 'interval')).toEqual(sound)
    await store.close()
    expect(inspect(file, fsync === 'interval')).toEqual(sound)
  },
)

test('[P6] a file of other content is told from a store, whatever is in it', () => {
  const random = seeded(3)
  const contents = [
    Buffer.alloc(0),
    Buffer.alloc(100),
    Buffer.alloc(3 * PAGE_BYTES),
    Buffer.from('{"name":"a file of another program"}\n'.repeat(1_000)),
    Buffer.from(Array.from({ length: 50_000 }, () => random(256))),
  ]
  for (const content of contents) {
    writeFileSync(file, content)
    expect(inspect()).toMatchObject({ sound: false })
  }
})

/** A small store with every kind of page: two levels, values on pages of their own, a free list. */
async function written(): Promise<Buffer> {
  const store = Store.open(file, { fsync: 'always' })
  for (let round = 0; round < 40; round += 1) {
    const changes: Change[] = []
    for (let index = 0; index < 20; index += 1) {
      const number = round * 20 + index
      const bytes = index === 7 ? 5_000 : 100 + index * 10
      changes.push(put(keyOf(KIND.publication, 1, number), Buffer.alloc(bytes, 'b')))
      if (round > 15 && index % 4 > 0) {
        changes.push(remove(keyOf(KIND.publication, 1, number - 300)))
      }
    }
    await store.write(changes)
  }
  await store.close()
  return readFileSync(file)
}

/** Numbers of the pages with a flag; of the head pages, too. */
const pagesOf = (bytes: Buffer, flags: number): number[] =>
  Array.from({ length: bytes.length / PAGE_BYTES }, (_, number) => number).filter((number) => {
    const header = headerOf(bytes.subarray(number * PAGE_BYTES))
    return header.number === number && header.flags === flags
  })

test('[P6] a damaged header, pointer, key or size of any page in use is found', async () => {
  const bytes = await written()
  const damaged = (at: number, mask = 0xff): boolean => {
    const copy = Buffer.from(bytes)
    copy[at] = (copy[at] ?? 0) ^ mask
    writeFileSync(file, copy)
    return !inspect().sound
  }
  /** Places of a page by their names; beside each how many pages of the kind were found damaged. */
  const found = (flags: number, places: Record<string, number>): Record<string, number> =>
    Object.fromEntries(
      Object.entries(places).map(([name, at]) => [
        name,
        pagesOf(bytes, flags).filter((number) => damaged(number * PAGE_BYTES + at)).length,
      ]),
    )
  const HEADER = { number: 0, newer: 15, flags: 18, lower: 20, upper: 22, pointer: 24 }
  const branches = found(PAGE.branch, HEADER)
  const leaves = found(PAGE.leaf, HEADER)
  for (const counts of [branches, leaves]) {
    // Pages of earlier states lie in the file, too: of those in use all are found, by whatever field.
    expect(counts['number']).toBeGreaterThan(0)
    expect(new Set(Object.values(counts)).size).toBe(1)
  }
  // Where nodes begin is off by a few bytes: the next one that is added would overwrite another.
  const shifted = [PAGE.branch, PAGE.leaf].map(
    (flags) =>
      pagesOf(bytes, flags).filter((number) => damaged(number * PAGE_BYTES + 22, 8)).length,
  )
  expect(shifted).toEqual([branches['number'], leaves['number']])
  const overflow = found(PAGE.overflow, { number: 0, newer: 15, flags: 18, pages: 20 })
  expect(overflow['number']).toBeGreaterThan(0)
  expect(new Set(Object.values(overflow)).size).toBe(1)
  const heads = found(PAGE.meta, { number: 0, flags: 18, magic: 24, version: 28, pageBytes: 48 })
  expect(heads).toEqual({ number: 2, flags: 2, magic: 2, version: 2, pageBytes: 2 })
})

test('[P6] of the newer head page, every field that the library follows is checked', async () => {
  const bytes = await written()
  const transactions = [0, 1].map((page) => bytes.readUInt32LE(page * PAGE_BYTES + 152))
  const newer = (transactions[0] ?? 0) > (transactions[1] ?? 0) ? 0 : 1
  const places = { freeDepth: 54, freeRoot: 88, mainFlags: 100, mainDepth: 102, mainLeaves: 112 }
  const more = { mainEntries: 128, mainRoot: 136, lastPage: 146, transaction: 152 }
  for (const [name, at] of Object.entries({ ...places, ...more })) {
    const copy = Buffer.from(bytes)
    const place = newer * PAGE_BYTES + at
    copy[place] = (copy[place] ?? 0) ^ 0x05
    writeFileSync(file, copy)
    expect({ name, ...inspect() }).toMatchObject({ name, sound: false })
  }
})

test('[P6] a page with two uses, a free page in use, and a newer transaction on an older head are found', async () => {
  const bytes = await written()
  const after = (change: (copy: Buffer) => void): unknown => {
    const copy = Buffer.from(bytes)
    change(copy)
    writeFileSync(file, copy)
    return inspect()
  }
  const heads = [0, 1].map((number) => snapshotOf(bytes.subarray(number * PAGE_BYTES), number))
  const [older, newer] = heads
    .filter((head) => typeof head !== 'string')
    .sort((one, other) => one.transaction - other.transaction)
  if (older === undefined || newer === undefined) throw new Error('no head pages')

  const olderAt = (older.transaction % 2) * PAGE_BYTES + 152
  const stale = after((copy) => copy.writeUInt32LE(newer.transaction + 1, olderAt))
  expect(stale).toMatchObject({ problem: 'the head page is not of the newest roots' })
  const newerAt = (newer.transaction % 2) * PAGE_BYTES + 152
  const hidden = after((copy) => copy.writeUInt32LE(newer.transaction - 2, newerAt))
  expect(hidden).toMatchObject({ problem: 'a head page is older than its roots' })

  // Two records that are on pages of their own, in a leaf page in use; and the free list's first word.
  writeFileSync(file, bytes)
  const leaves = pagesInUse(newer)
  const refs = leaves.main.flatMap(({ page, nodes }) =>
    nodes.flatMap((node) => (node.overflow ? [{ at: page + node.valueAt, ...node.overflow }] : [])),
  )
  const [first, second] = refs
  const list = leaves.free[0]?.nodes.at(-1)
  const listAt = (leaves.free[0]?.page ?? 0) + (list?.valueAt ?? 0)
  if (first === undefined || second === undefined || list === undefined) throw new Error('no pages')
  const twice = after((copy) => copy.writeUInt32LE(first.page, second.at))
  expect(twice).toEqual({ sound: false, problem: `page ${first.page} has two uses` })

  expect(bytes.readUInt32LE(listAt)).toBeGreaterThan(1)
  const inUse = after((copy) => copy.writeBigInt64LE(BigInt(newer.main.root ?? 0), listAt + 8))
  expect(inUse).toEqual({ sound: false, problem: `page ${newer.main.root} is free and in use` })
  const again = after((copy) => copy.copy(copy, listAt + 8, listAt + 16, listAt + 24))
  expect(JSON.stringify(again)).toMatch(/"page \d+ is free twice"/)
})

/** Leaf pages that a state of the file uses: where each begins, and its nodes. */
function pagesInUse(snapshot: Snapshot) {
  const opened = new PageFile(file)
  const leaves = {
    main: [] as { page: number; nodes: readonly LeafNode[] }[],
    free: [] as { page: number; nodes: readonly LeafNode[] }[],
  }
  try {
    const marks = new Uint8Array(snapshot.lastPage + 1)
    for (const kind of ['main', 'free'] as const) {
      walkTree({
        file: opened,
        snapshot,
        kind,
        marks,
        problem: () => undefined,
        leaf: (_page, number, nodes) => leaves[kind].push({ page: number * PAGE_BYTES, nodes }),
      })
    }
  } finally {
    opened.close()
  }
  return leaves
}

test('[P6] a file that was cut is found, at whatever length', async () => {
  const bytes = await written()
  const ended: Record<number, number | null> = {}
  for (let length = 0; length < bytes.length - PAGE_BYTES; length += 1_777) {
    writeFileSync(file, bytes.subarray(0, length))
    // Only free pages may be missing: then the library does not mind.
    if (inspect().sound) ended[length] = everythingDone()
  }
  expect(Object.values(ended).filter((status) => status !== 0)).toEqual([])
})

/** Opens the file in a process of its own, reads and removes everything and writes again. */
function everythingDone(): number | null {
  const script = `
    import { open } from 'lmdb'
    const database = open({ path: process.argv[1], noSubdir: true, keyEncoding: 'binary',
      encoding: 'binary', overlappingSync: false, eventTurnBatching: false })
    const keys = []
    for (const { key, value } of database.getRange({})) if (value.length >= 0) keys.push(key)
    const write = (index) => database.batch(() => {
      const key = Buffer.alloc(13, 2)
      key.writeUInt32BE(index, 9)
      database.put(key, Buffer.alloc(index % 7 === 0 ? 9_000 : 300))
      for (const old of keys.splice(0, 20)) database.remove(old)
    })
    for (let index = 0; index < 100; index += 1) await write(index)
    await database.close()`
  rmSync(`${file}-lock`, { force: true })
  const options = { cwd: import.meta.dirname, stdio: 'ignore' } as const
  return spawnSync(process.execPath, ['--input-type=module', '-e', script, file], options).status
}

/** By hand for more: DISK_DAMAGE_CASES=3000. */
const CASES = Number(process.env['DISK_DAMAGE_CASES'] ?? 30)

test(
  '[P6] what is taken for sound does not end the process, whatever was flipped',
  { timeout: 60_000 + CASES * 5_000 },
  async () => {
    const bytes = await written()
    const random = seeded(5)
    let opened = 0
    for (let index = 0; index < CASES; index += 1) {
      const copy = Buffer.from(bytes)
      const page = random(bytes.length / PAGE_BYTES) * PAGE_BYTES
      const at = index % 2 === 0 ? page + random(120) : random(bytes.length)
      const width = index % 3 === 0 ? 64 : 1
      for (let offset = at; offset < Math.min(at + width, copy.length); offset += 1) {
        copy[offset] = (copy[offset] ?? 0) ^ (1 << random(8))
      }
      writeFileSync(file, copy)
      if (!inspect().sound) continue
      opened += 1
      expect({ index, at, status: everythingDone() }).toEqual({ index, at, status: 0 })
    }
    expect(opened).toBeGreaterThan(0)
  },
)
