import { spawnSync } from 'node:child_process'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { EVERYTHING, Folder, PAGE_BYTES, TOPICS, writeStore } from './testing/damaged-store.js'

const small = mkdtempSync(join(tmpdir(), 'disk-no-room-'))
const mount = (size: string): boolean => {
  const options = ['-t', 'tmpfs', '-o', size, 'tmpfs', small]
  return spawnSync('mount', options).status === 0
}
const maySetUp = mount('size=600k')

afterAll(() => {
  if (maySetUp) spawnSync('umount', [small])
  rmdirSync(small)
})

test.skipIf(!maySetUp)(
  '[P6] without room for what a damaged file holds the start is refused, and nothing is changed; later it goes on',
  async () => {
    const folder = new Folder()
    const written = await writeStore(folder)
    folder.clear()
    rmdirSync(folder.path)
    const path = join(small, 'data')
    const file = join(path, 'store.lmdb')
    mkdirSync(path)
    // Its branch pages are gone: the file has to be copied, and the disk has no room for two.
    const damaged = Buffer.from(written.bytes)
    for (const number of written.branchPages) {
      damaged.fill(0, number * PAGE_BYTES, (number + 1) * PAGE_BYTES)
    }
    expect(damaged.length).toBeGreaterThan(300 * 1_024)
    writeFileSync(file, damaged)

    const refused = folder.start(path)
    await expect(refused).rejects.toMatchObject({
      code: 'broker_unavailable',
      message: expect.stringMatching(/make room on the disk/) as unknown,
    })
    expect(readFileSync(file).equals(damaged)).toBe(true)
    expect(readdirSync(path).filter((name) => name.includes('salvag'))).toEqual([])

    expect(spawnSync('mount', ['-o', 'remount,size=16m', small]).status).toBe(0)
    const { broker, reports } = await folder.start(path)
    for (const topic of TOPICS) {
      const ids = written.pages.get(topic)?.publications.map(({ id }) => id)
      const page = await broker.read(topic, EVERYTHING)
      expect(page.publications.map(({ id }) => id)).toEqual(ids)
    }
    expect(reports).toHaveLength(1)
    await folder.closeAll()
  },
)
