import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { KilledServer } from './killed-server.js'

const place = { folder: '' }

beforeEach(() => {
  place.folder = mkdtempSync(join(tmpdir(), 'realtime-lock-'))
})

afterEach(() => {
  rmSync(place.folder, { recursive: true, force: true })
})

/** Starts a broker on a directory in a process of its own; prints `free` or the code of the refusal. */
const PROBE = `
import { DiskBroker } from '@bmt-central/realtime-disk'
import { RealtimeService, devAuth } from '@bmt-central/realtime-server'
const realtime = new RealtimeService({
  authenticate: devAuth(),
  broker: new DiskBroker({ path: process.argv[1] }),
})
const said = await realtime.publish('public:probe', 1).then(() => 'free', (error) => error.code)
await realtime.close()
console.log(said)
`

/** `wrapper`: a program that runs the rest of the command line elsewhere. */
function probe(data: string, wrapper: readonly string[] = []): string {
  const command = ['--input-type=module', '--eval', PROBE, data]
  const args = [...wrapper, process.execPath, ...command]
  const run = spawnSync('env', args, { encoding: 'utf8', cwd: import.meta.dirname })
  return run.stdout.trim() === '' ? run.stderr : run.stdout.trim()
}

const ELSEWHERE = ['unshare', '--mount', '--pid', '--net', '--fork'] as const
const [UNSHARE, ...NAMESPACES] = ELSEWHERE
const mayUnshare = spawnSync(UNSHARE, [...NAMESPACES, 'true']).status === 0

test('[P6] a directory that is held is refused, and free as soon as its holder was killed', async () => {
  // Longer than what the path of a Unix socket may have.
  const data = join(place.folder, 'a-long-name-'.repeat(12))
  await using server = await KilledServer.start(data)
  expect(probe(data)).toBe('broker_unavailable')
  await server.kill()
  expect(probe(data)).toBe('free')
})

test.skipIf(!mayUnshare)(
  '[P6] it is refused from other mount, process and network namespaces, too',
  async () => {
    const data = join(place.folder, 'data')
    await using server = await KilledServer.start(data)
    expect(probe(data, ELSEWHERE)).toBe('broker_unavailable')
    await server.kill()
    expect(probe(data, ELSEWHERE)).toBe('free')
  },
)
