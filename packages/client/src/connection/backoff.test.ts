import fc from 'fast-check'
import { expect, test } from 'vitest'
import { backoffMs, relaxedExponent } from './backoff.js'

const options = { baseMs: 1_000, capMs: 30_000 }

test('[C3] the delay is a random share of what doubles up to the cap', () => {
  const full = [0, 1, 2, 3, 4, 5, 6, 30].map((n) => backoffMs(n, 0.999_999, options))
  expect(full.map(Math.round)).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000])
  expect(backoffMs(3, 0.5, options)).toBe(4_000)
})

test('[C3] the delay is never under 100 ms and never above the cap', () => {
  fc.assert(
    fc.property(
      fc.nat(2_000),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      (n, random) => {
        const delay = backoffMs(n, random, options)
        return delay >= 100 && delay <= options.capMs
      },
    ),
  )
})

test('[C3] where the server names a time, it is that and a random share of half of it or a second', () => {
  expect(backoffMs(9, 0, { ...options, retryAfterMs: 10_000 })).toBe(10_000)
  expect(backoffMs(0, 0.5, { ...options, retryAfterMs: 10_000 })).toBe(12_500)
  expect(backoffMs(0, 0.5, { ...options, retryAfterMs: 100 })).toBe(600)
})

test('[C3] the exponent halves with every 10 s of connection', () => {
  expect(relaxedExponent(9, 9_999)).toBe(9)
  expect(relaxedExponent(9, 10_000)).toBe(4)
  expect(relaxedExponent(9, 25_000)).toBe(2)
  expect(relaxedExponent(9, 3_600_000)).toBe(0)
})
