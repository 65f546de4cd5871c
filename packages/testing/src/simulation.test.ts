import { expect, test } from 'vitest'
import { describeFinding, hunt } from './hunt.js'

const SEEDS = 200

test('[P1][P2][P3][P4][P5][P6][P7][P9][C5] no seed finds a broken promise', async () => {
  const findings: string[] = []
  for (let seed = 1; seed <= SEEDS && findings.length < 3; seed += 1) {
    const finding = await hunt(seed)
    if (finding !== null) findings.push(describeFinding(finding))
  }
  expect(findings.join('\n\n')).toBe('')
}, 120_000)
