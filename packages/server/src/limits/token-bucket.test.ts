import fc from 'fast-check'
import { expect, test } from 'vitest'
import { newBucket, takeTokens, type BucketRate } from './token-bucket.js'

const RATE: BucketRate = { perSecond: 100, burst: 200 }

test('[L6][L7] a full bucket admits its burst at once, then its rate', () => {
  const bucket = newBucket(RATE, 0)
  for (let count = 0; count < 200; count += 1) expect(takeTokens(bucket, RATE, 1, 0)).toBe(0)
  expect(takeTokens(bucket, RATE, 1, 0)).toBe(10)
  expect(takeTokens(bucket, RATE, 1, 9)).toBe(1)
  expect(takeTokens(bucket, RATE, 1, 10)).toBe(0)
  expect(takeTokens(bucket, RATE, 1, 10)).toBe(10)
})

test('[L6] a bucket does not fill beyond its burst, however long nobody takes', () => {
  const bucket = newBucket(RATE, 0)
  expect(takeTokens(bucket, RATE, 200, 86_400_000)).toBe(0)
  expect(takeTokens(bucket, RATE, 1, 86_400_000)).toBe(10)
})

test('[L6] what is refused takes nothing', () => {
  const bucket = newBucket(RATE, 0)
  takeTokens(bucket, RATE, 150, 0)
  for (let count = 0; count < 10; count += 1) {
    expect(takeTokens(bucket, RATE, 100, 0)).toBe(500)
  }
  expect(takeTokens(bucket, RATE, 50, 0)).toBe(0)
})

test('[L7] what costs more than the burst is possible with a full bucket, and is paid off later', () => {
  const rate = { perSecond: 10, burst: 20 }
  const bucket = newBucket(rate, 0)
  expect(takeTokens(bucket, rate, 100, 0)).toBe(0)
  expect(takeTokens(bucket, rate, 1, 0)).toBe(8_100)
  expect(takeTokens(bucket, rate, 1, 8_100)).toBe(0)
})

test('[L6] a clock that runs backwards fills nothing and costs nothing', () => {
  const bucket = newBucket(RATE, 1_000)
  expect(takeTokens(bucket, RATE, 200, 1_000)).toBe(0)
  expect(takeTokens(bucket, RATE, 1, 0)).toBe(1_010)
  expect(takeTokens(bucket, RATE, 1, 1_000)).toBe(10)
  expect(takeTokens(bucket, RATE, 1, 1_010)).toBe(0)
  const full = newBucket(RATE, 1_000)
  expect(takeTokens(full, RATE, 200, 0)).toBe(0)
})

test('[L6] rounding does not keep anybody waiting longer than was said', () => {
  // Here the three fractions that are added up give a little less than 1.
  const rate = { perSecond: 0.1, burst: 1 }
  const bucket = newBucket(rate, 0)
  expect(takeTokens(bucket, rate, 1, 0)).toBe(0)
  expect(takeTokens(bucket, rate, 1, 609)).toBe(9_391)
  expect(takeTokens(bucket, rate, 1, 9_999)).toBe(1)
  expect(takeTokens(bucket, rate, 1, 10_000)).toBe(0)
})

const rates = fc.record({
  perSecond: fc.double({ min: 0.1, max: 2_000, noNaN: true }),
  burst: fc.integer({ min: 1, max: 500 }),
})
const steps = fc.array(
  fc.record({ waitMs: fc.integer({ min: 0, max: 3_000 }), cost: fc.integer({ min: 0, max: 700 }) }),
  { maxLength: 60 },
)

test('[L6][L7] over any time no more is taken than the rate and one burst, or one dearer request', () => {
  fc.assert(
    fc.property(rates, steps, (rate, tries) => {
      const bucket = newBucket(rate, 0)
      const taken: { at: number; cost: number }[] = []
      let now = 0
      for (const { waitMs, cost } of tries) {
        now += waitMs
        if (takeTokens(bucket, rate, cost, now) === 0) taken.push({ at: now, cost })
      }
      for (const [first, { at: from }] of taken.entries()) {
        let sum = 0
        let dearest = rate.burst
        for (const { at, cost } of taken.slice(first)) {
          sum += cost
          dearest = Math.max(dearest, cost)
          const most = dearest + rate.burst + ((at - from) * rate.perSecond) / 1_000
          expect(sum).toBeLessThanOrEqual(most + 0.001)
        }
      }
    }),
  )
})

test('[L6] retryAfterMs is enough, and no more than a ms too long', () => {
  fc.assert(
    fc.property(rates, steps, (rate, tries) => {
      const bucket = newBucket(rate, 0)
      let now = 0
      for (const { waitMs, cost } of tries) {
        now += waitMs
        const left = takeTokens(bucket, rate, cost, now)
        if (left === 0) continue
        expect(Number.isInteger(left)).toBe(true)
        const earlier = left > 2 ? takeTokens({ ...bucket }, rate, cost, now + left - 2) : left
        expect(earlier).toBeGreaterThan(0)
        now += left
        expect(takeTokens(bucket, rate, cost, now)).toBe(0)
      }
    }),
  )
})
