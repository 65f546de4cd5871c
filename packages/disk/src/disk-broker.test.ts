import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { brokerContract } from '@bmt-central/realtime-server/testing'
import { afterAll, test } from 'vitest'
import { DiskBroker } from './disk-broker.js'

const folder = mkdtempSync(join(tmpdir(), 'disk-broker-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

brokerContract((place) => new DiskBroker({ path: join(folder, place) }), {
  test,
  survivesRestart: true,
})
