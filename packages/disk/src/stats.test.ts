import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Topic } from '@bmt-central/realtime-protocol'
import { silentLogger } from '@bmt-central/realtime-protocol'
import { virtualRuntime } from '@bmt-central/realtime-protocol/testing'
import { devAuth, RealtimeService } from '@bmt-central/realtime-server'
import { expect, test } from 'vitest'
import { DiskBroker } from './disk-broker.js'
import { KEEP_ALL, LIMITS } from './testing/room.js'

const GIB = 2 ** 30

test.each([
  ['10 GiB where nobody says anything', {}, undefined, 10 * GIB],
  ['what the server says', {}, { maxRetainedBytes: GIB }, GIB],
  ['its own option first', { maxRetainedBytes: 2 * GIB }, { maxRetainedBytes: GIB }, 2 * GIB],
] as const)('[L18] it retains %s, and getStats tells so', async (_what, own, limits, cap) => {
  const path = mkdtempSync(join(tmpdir(), 'disk-stats-'))
  const service = new RealtimeService({
    authenticate: devAuth(),
    broker: new DiskBroker({ path, ...own }),
    ...(limits !== undefined && { limits }),
  })
  try {
    await service.listen(0, '127.0.0.1')
    expect(service.getStats().bounds['retainedBytes']).toEqual({ used: 0, cap })
  } finally {
    await service.close()
    rmSync(path, { recursive: true, force: true })
  }
})

test('[P7] publishes that wait for the disk are told with their bounds', async () => {
  const path = mkdtempSync(join(tmpdir(), 'disk-stats-'))
  const broker = new DiskBroker({ path })
  const sink = { publication: () => undefined, lost: () => undefined, state: () => undefined }
  const context = { limits: LIMITS, runtime: virtualRuntime(), logger: silentLogger }
  try {
    await broker.start(sink, context)
    const results = ['a', 'b', 'c'].map(async (id) =>
      broker.publish(
        'room' as Topic,
        { id, from: 'ada', payloadJson: '"text"', payloadBytes: 6, hash: id },
        KEEP_ALL,
      ),
    )
    const waiting = (): unknown => {
      const { waitingAppends, waitingAppendBytes } = broker.stats().bounds ?? {}
      return [waitingAppends, waitingAppendBytes]
    }
    const bytesCap = 64 * 2 ** 20
    expect(waiting()).toEqual([
      { used: 3, cap: 10_000 },
      { used: 18, cap: bytesCap },
    ])
    await Promise.all(results)
    expect(waiting()).toEqual([
      { used: 0, cap: 10_000 },
      { used: 0, cap: bytesCap },
    ])
  } finally {
    await broker.close()
    rmSync(path, { recursive: true, force: true })
  }
})
