import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { killAgainAndAgain } from './killing.js'

// More of it: npm run soak -- --kills 100 --seed 7
const KILLS = 6
const SUBSCRIBERS = 20

const place = { folder: '' }

beforeEach(() => {
  place.folder = mkdtempSync(join(tmpdir(), 'realtime-kill-'))
})

afterEach(() => {
  rmSync(place.folder, { recursive: true, force: true })
})

test(`[P1][P2][P4][P6] a server that is killed ${KILLS} times under load loses, doubles and reorders nothing`, async () => {
  const { ledger, refused, outagesMs } = await killAgainAndAgain({
    data: join(place.folder, 'data'),
    seed: 1,
    subscribers: SUBSCRIBERS,
    goOn: ({ lives }) => lives.length < KILLS,
  })
  expect(ledger.faults).toEqual([])
  expect(ledger.unsettled).toEqual([])
  expect(refused).toEqual([])
  expect(ledger.deliveries).toBe(ledger.acknowledgements * SUBSCRIBERS)
  expect(ledger.acknowledgements).toBeGreaterThan(KILLS * 20)
  expect(outagesMs.length).toBeGreaterThan(0)
}, 180_000)
