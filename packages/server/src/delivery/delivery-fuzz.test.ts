import { expect, test } from 'vitest'
import { fuzzDelivery } from '../testing/rig/delivery-fuzz.js'

// `npm run fuzz` makes as many runs as one likes.
const SEEDS = Array.from({ length: 60 }, (_, index) => index + 1)

test.each(SEEDS)(
  '[P1][P2][W6][W10][W11] nobody misses, doubles or disorders anything, whatever comes together (seed %i)',
  { timeout: 60_000 },
  async (seed) => {
    expect(await fuzzDelivery(seed)).toEqual([])
  },
)
