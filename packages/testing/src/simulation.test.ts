import { expect, test } from 'vitest'
import { ALL_FAULTS } from './faults.js'
import { describeFinding, hunt } from './hunt.js'
import { Tally } from './tally.js'

const SEEDS = 200

test('[P1][P2][P3][P4][P5][P6][P7][P9][C5] no seed finds a broken promise', async () => {
  const findings: string[] = []
  const tally = new Tally()
  for (let seed = 1; seed <= SEEDS && findings.length < 3; seed += 1) {
    const finding = await hunt(seed, { tally })
    if (finding !== null) findings.push(describeFinding(finding))
  }
  expect(findings.join('\n\n')).toBe('')
  const struck = Object.keys(ALL_FAULTS).filter((fault) => tally.of(fault) > 0)
  expect(struck).toEqual(Object.keys(ALL_FAULTS))
}, 120_000)
