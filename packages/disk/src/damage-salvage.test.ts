import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { Topic } from '@bmt-central/realtime-protocol'
import { headerOf, PAGE } from './inspect/format.js'
import { pointerAt } from './inspect/nodes.js'
import { KEY_BYTES } from './keys.js'
import { growingCopy } from './salvage/replace-store.js'
import { salvageFile } from './salvage/salvage-file.js'
import {
  EVERYTHING,
  Folder,
  PAGE_BYTES,
  serveDamaged,
  TOPICS,
  writeStore,
  type Place,
  type Written,
} from './testing/damaged-store.js'

const folder = new Folder()
const place: { written: Written | null } = { written: null }

beforeAll(async () => {
  place.written = await writeStore(folder)
})
afterEach(() => folder.closeAll())
afterAll(() => rmSync(folder.path, { recursive: true, force: true }))

function written(): Written {
  if (place.written === null) throw new Error('nothing was written')
  return place.written
}

/** The bytes with some of them flipped. */
function flipped(places: readonly Place[], mask = 0xff): Buffer {
  const bytes = Buffer.from(written().bytes)
  for (const { at, end } of places) {
    for (let offset = at; offset < end; offset += 1) bytes[offset] = (bytes[offset] ?? 0) ^ mask
  }
  return bytes
}

const pageOf = (number: number): Place => ({
  at: number * PAGE_BYTES,
  end: (number + 1) * PAGE_BYTES,
})

test('[P2][P3] a store of all kinds of pages is as it was after a kill', async () => {
  const { bytes, branchPages, leafPages, overflowPages, stored } = written()
  expect([branchPages.length > 0, leafPages.length > 9, overflowPages.length > 9]).toEqual([
    true,
    true,
    true,
  ])
  expect(stored).toHaveLength(3 * 60 + 20 + 10)
  const served = await serveDamaged(folder, written(), bytes)
  expect(served).toMatchObject({ wrong: [], unchanged: TOPICS, running: { reports: [] } })
})

test('[P2][P3][P6] of a file that was cut, everything that is left is kept, and no position is given twice', async () => {
  const { bytes, stored, leafPages, overflowPages } = written()
  const half = Math.floor(bytes.length / 2 / PAGE_BYTES) * PAGE_BYTES
  // What comes after it is free: a cut there loses nothing.
  const used = Math.max(...leafPages, ...overflowPages) * PAGE_BYTES
  const lengths = {
    lastPage: used,
    fewPages: used - 4 * PAGE_BYTES,
    odd: used - 12_345,
    half,
    halfOdd: half + 777,
    onePage: PAGE_BYTES,
    partOfHead: 100,
    nothing: 0,
  }
  for (const [name, length] of Object.entries(lengths)) {
    const cut = bytes.subarray(0, length)
    const served = await serveDamaged(folder, written(), cut)
    expect({ name, wrong: served.wrong }).toEqual({ name, wrong: [] })
    const sum = Object.values(served.kept).reduce((all, each) => all + each, 0)
    const atLeast = length >= half ? stored.length / 4 : 0
    expect(sum).toBeGreaterThanOrEqual(atLeast)
    expect(served.running.windowEpoch).not.toBe(written().windowEpoch)
    const [report, ...more] = served.running.reports
    expect([report?.facts['publications'], more.length]).toEqual([sum, 0])
    // Whatever it was is kept.
    expect(readFileSync(String(report?.facts['kept'])).equals(cut)).toBe(true)
    await folder.closeAll()
  }
})

test('[P3] where the list of free pages tells which pages are current, streams that are whole keep their epoch', async () => {
  const { stored, leafPages } = written()
  // A leaf page with publications of one topic only.
  const green = leafPages.find((number) => {
    const { at, end } = pageOf(number)
    const inside = stored.filter(({ places: [node] }) => node && node.at >= at && node.at < end)
    return inside.length > 5 && inside.every(({ topic }) => topic === ('green' as Topic))
  })
  expect(green).toBeDefined()
  const { at } = pageOf(green ?? 0)
  const pageLost = await serveDamaged(folder, written(), flipped([pageOf(green ?? 0)]))
  const others = TOPICS.filter((topic) => topic !== ('green' as Topic))
  expect(pageLost).toMatchObject({ wrong: [], unchanged: others })
  await folder.closeAll()
  // Its header alone: all of it is found, by what the records look like.
  const headerLost = await serveDamaged(folder, written(), flipped([{ at, end: at + 24 }]))
  expect(headerLost).toMatchObject({ wrong: [], unchanged: others, kept: { green: 60 } })
})

test('[P2][P3][P6] flips in head, branch and overflow pages, near the end and in the middle: what is undamaged is served', async () => {
  const { bytes, branchPages, overflowPages, stored } = written()
  const [first = 0] = branchPages
  const middle = Math.floor(bytes.length / 2)
  const total = stored.length
  const cases: Record<string, { places: Place[]; atLeast: number }> = {
    heads: { places: [{ at: 0, end: 2 * PAGE_BYTES }], atLeast: total },
    oneHead: { places: [pageOf(written().snapshot.transaction % 2)], atLeast: total },
    branches: { places: branchPages.map(pageOf), atLeast: total },
    oneChild: {
      places: [{ at: first * PAGE_BYTES + 4_000, end: first * PAGE_BYTES + 4_001 }],
      atLeast: total,
    },
    overflowHeaders: {
      places: overflowPages.map((number) => ({
        at: number * PAGE_BYTES,
        end: number * PAGE_BYTES + 1,
      })),
      atLeast: total - 20,
    },
    overflow: { places: overflowPages.map(pageOf), atLeast: total - 20 },
    end: { places: [{ at: bytes.length - 3_000, end: bytes.length }], atLeast: total - 40 },
    middle: { places: [{ at: middle, end: middle + 3_000 }], atLeast: total - 40 },
  }
  for (const [name, { places, atLeast }] of Object.entries(cases)) {
    const served = await serveDamaged(folder, written(), flipped(places))
    const sum = Object.values(served.kept).reduce((all, each) => all + each, 0)
    expect({ name, wrong: served.wrong }).toEqual({ name, wrong: [] })
    expect({ name, sum }).toEqual({ name, sum: Math.max(sum, atLeast) })
    // What retention has dropped does not come back.
    expect({ name, short: served.kept['short'] }).toEqual({
      name,
      short: Math.min(10, served.kept['short'] ?? 0),
    })
    await folder.closeAll()
  }
})

test('[P2][P3][P6] a branch page that leads to an earlier version of a leaf page is noticed', async () => {
  const { bytes, branchPages, leafPages } = written()
  const rangeOf = (number: number): string[] => {
    const page = bytes.subarray(number * PAGE_BYTES, (number + 1) * PAGE_BYTES)
    const count = page.readUInt16LE(20) / 2
    return [0, count - 1].map((index) => {
      const at = pointerAt(page, index) + 8
      return page.toString('latin1', at, at + KEY_BYTES)
    })
  }
  const pages = Array.from({ length: bytes.length / PAGE_BYTES }, (_, number) => number)
  const stale = pages.filter((number) => {
    const header = headerOf(bytes.subarray(number * PAGE_BYTES))
    const isLeaf = header.number === number && header.flags === PAGE.leaf
    return (
      isLeaf &&
      !leafPages.includes(number) &&
      rangeOf(number).every((key) => key.length === KEY_BYTES)
    )
  })
  let tried = 0
  for (const branch of branchPages) {
    const page = bytes.subarray(branch * PAGE_BYTES, (branch + 1) * PAGE_BYTES)
    for (let index = 0; index < page.readUInt16LE(20) / 2; index += 1) {
      const at = pointerAt(page, index)
      const child = page.readUIntLE(at, 6)
      const [first = '', last = ''] = rangeOf(child)
      const earlier = stale.find((number) =>
        rangeOf(number).every((key) => key >= first && key <= last),
      )
      if (earlier === undefined) continue
      tried += 1
      const misled = Buffer.from(bytes)
      misled.writeUIntLE(earlier, branch * PAGE_BYTES + at, 6)
      const served = await serveDamaged(folder, written(), misled)
      expect({ child, wrong: served.wrong }).toEqual({ child, wrong: [] })
      await folder.closeAll()
    }
  }
  expect(tried).toBeGreaterThan(0)
})

test('[P2][P3] of a position that only an earlier version of its record tells, nothing is given twice', async () => {
  const { bytes, leafPages } = written()
  const topics = leafPages.filter((number) => {
    const { at, end } = pageOf(number)
    return bytes.subarray(at, end).includes('"topic":"none"')
  })
  expect(topics.length).toBeGreaterThan(0)
  // With and without a head page that tells which pages are current.
  for (const heads of [[], [0]]) {
    const damaged = flipped([...heads, ...topics].map(pageOf))
    const served = await serveDamaged(folder, written(), damaged)
    expect({ heads, wrong: served.wrong }).toEqual({ heads, wrong: [] })
    expect(served.unchanged).not.toContain('none')
    await folder.closeAll()
  }
})

test('[P6] a file that was damaged unseen after a clean end, and cannot be opened, is salvaged, too', async () => {
  const damaged = flipped([pageOf(0), pageOf(1)])
  folder.put(damaged)
  const { size, mtimeNs } = statSync(folder.file, { bigint: true })
  const mark = JSON.stringify({ size: String(size), mtimeNs: String(mtimeNs) })
  writeFileSync(join(folder.path, 'clean.json'), mark)
  const { broker, reports } = await folder.start()
  for (const topic of TOPICS) {
    const ids = written()
      .pages.get(topic)
      ?.publications.map(({ id }) => id)
    expect((await broker.read(topic, EVERYTHING)).publications.map(({ id }) => id)).toEqual(ids)
  }
  expect(reports).toHaveLength(1)
})

/** Of each kind of place. By hand for more: DISK_DAMAGE_CASES=500. */
const CASES = Number(process.env['DISK_DAMAGE_CASES'] ?? 40)

test(
  '[P2][P3][P6] whatever flips, nothing ends the process, nothing damaged is served and nothing undamaged lost',
  { timeout: 120_000 + CASES * 30_000 },
  async () => {
    const { bytes, branchPages, leafPages, overflowPages } = written()
    let state = 11
    const random = (below: number): number => {
      state = (state * 1_103_515_245 + 12_345) % 2 ** 31
      return Math.floor((state / 2 ** 31) * below)
    }
    const one = (numbers: readonly number[]): number =>
      (numbers[random(numbers.length)] ?? 0) * PAGE_BYTES + random(PAGE_BYTES)
    const kinds = {
      head: () => random(2 * PAGE_BYTES) % (PAGE_BYTES + 200),
      branch: () => one(branchPages),
      leaf: () => one(leafPages),
      overflow: () => one(overflowPages),
      anywhere: () => random(bytes.length),
      end: () => bytes.length - 1 - random(2 * PAGE_BYTES),
    }
    for (let index = 0; index < CASES; index += 1) {
      for (const [kind, where] of Object.entries(kinds)) {
        const at = where()
        const width = index % 4 === 0 ? 64 : 1
        const places = [{ at, end: Math.min(at + width, bytes.length) }]
        const { wrong } = await serveDamaged(folder, written(), flipped(places, 1 << random(8)))
        expect({ kind, index, at, width, wrong }).toEqual({ kind, index, at, width, wrong: [] })
        await folder.closeAll()
      }
    }
  },
)

test('[P6] a salvage that is killed, at whatever step, is done anew or ended by the next start', async () => {
  const damaged = flipped([pageOf(0)])
  const plain = await serveDamaged(folder, written(), damaged)
  await folder.closeAll()
  const grown = async (): Promise<Buffer> => {
    folder.put(damaged)
    let epochs = 0
    const newEpoch = (): string => `copy-${(epochs += 1)}`
    await salvageFile(folder.file, growingCopy(folder.file), { overlapping: false, newEpoch })
    const copy = readFileSync(growingCopy(folder.file))
    folder.clear()
    return copy
  }
  const copy = await grown()
  const growing = growingCopy(folder.file)
  const whole = `${folder.file}.salvaged`
  const kept = `${folder.file}.damaged-1`
  const steps: Record<string, Record<string, Buffer>> = {
    growing: { [folder.file]: damaged, [growing]: copy.subarray(0, 9_000) },
    grown: { [folder.file]: damaged, [growing]: copy },
    named: { [folder.file]: damaged, [whole]: copy },
    setAside: { [kept]: damaged, [whole]: copy },
    inPlace: { [kept]: damaged, [folder.file]: copy },
  }
  for (const [name, files] of Object.entries(steps)) {
    folder.clear()
    for (const [path, content] of Object.entries(files)) writeFileSync(path, content)
    const { broker } = await folder.start()
    const kinds: Record<string, number> = {}
    for (const topic of TOPICS) {
      kinds[topic] = (await broker.read(topic, EVERYTHING)).publications.length
    }
    expect({ name, kinds }).toEqual({ name, kinds: plain.kept })
    const names = readdirSync(folder.path).filter((each) => each.includes('salvag'))
    expect({ name, names }).toEqual({ name, names: [] })
    const old = readdirSync(folder.path).filter((each) => each.includes('damaged'))
    expect(old).toHaveLength(1)
    expect(readFileSync(join(folder.path, old[0] ?? '')).equals(damaged)).toBe(true)
    await folder.closeAll()
  }
})
