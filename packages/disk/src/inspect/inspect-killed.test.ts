import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { inspectFile } from './inspect-file.js'

const folder = mkdtempSync(join(tmpdir(), 'disk-killed-'))
const file = join(folder, 'store')
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Writes without a pause, until it is killed: small and large values, most of them removed again. */
const WRITER = `
  import { open } from 'lmdb'
  const [path, overlapping, first] = process.argv.slice(1)
  const database = open({ path, noSubdir: true, keyEncoding: 'binary', encoding: 'binary',
    overlappingSync: overlapping === 'true', eventTurnBatching: false })
  const keyOf = (number) => {
    const key = Buffer.alloc(13, 2)
    key.writeUInt32BE(number, 9)
    return key
  }
  process.stdout.write('open')
  for (let number = Number(first); ; number += 1) {
    await database.batch(() => {
      for (let index = 0; index < 20; index += 1) {
        database.put(keyOf(number * 20 + index), Buffer.alloc(index % 7 === 0 ? 9_000 : 300))
        if (number % 3 === 0) continue
        database.remove(keyOf((number - 40) * 20 + index))
      }
    })
  }`

test.each([false, true])(
  '[P6] no false alarm after a kill in the middle of a transaction: overlapping %s',
  { timeout: 120_000 },
  async (overlapping) => {
    for (const name of [file, `${file}-lock`]) rmSync(name, { force: true })
    const found: unknown[] = []
    for (let kill = 1; kill <= 5; kill += 1) {
      const args = [
        '--input-type=module',
        '-e',
        WRITER,
        file,
        String(overlapping),
        String(kill * 10_000),
      ]
      const stdio = ['ignore', 'pipe', 'inherit'] as const
      const writer = spawn(process.execPath, args, { cwd: import.meta.dirname, stdio: [...stdio] })
      const ended = once(writer, 'exit')
      await once(writer.stdout, 'data')
      // Where in its work that is differs from kill to kill.
      await new Promise((resolve) => setTimeout(resolve, 40 + kill * 17))
      writer.kill('SIGKILL')
      await ended
      found.push(inspectFile(file, { overlapping }))
    }
    expect(found).toEqual(found.map(() => ({ sound: true })))
  },
)
