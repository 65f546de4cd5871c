import { virtualRuntime } from '@bmt-central/realtime-protocol/testing'
import { expect, test } from 'vitest'
import { Bucket } from './pacing.js'

test('[L6] starts full, and stays a tenth below the server’s rate and burst', async () => {
  const runtime = virtualRuntime()
  const bucket = new Bucket(runtime, 100, 200)
  expect(bucket.available).toBe(180)
  bucket.take(180)
  expect(bucket.waitMs(1)).toBeCloseTo(1_000 / 90)
  await runtime.advance(1_000)
  expect(bucket.available).toBe(90)
})

test('[L6] what exceeds the burst goes when the bucket is full; nothing waits for ever', async () => {
  const runtime = virtualRuntime()
  const bucket = new Bucket(runtime, 10, 20)
  expect(bucket.waitMs(1_000)).toBe(0)
  bucket.take(1_000)
  await runtime.advance(2_000)
  expect(bucket.waitMs(1_000)).toBe(0)
  expect(new Bucket(runtime, 0, 0).waitMs(1)).toBe(0)
})

test('[L6] drained, nothing is left; what was owed stays owed', async () => {
  const runtime = virtualRuntime()
  const bucket = new Bucket(runtime, 100, 200)
  bucket.drain()
  expect(bucket.available).toBe(0)
  bucket.take(9)
  bucket.drain()
  expect(bucket.waitMs(1)).toBeCloseTo((10 * 1_000) / 90)
})
