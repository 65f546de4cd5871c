import { expect, test } from 'vitest'
import { elapsedSince, instantNow, silentLogger } from './runtime.js'
import { virtualRuntime } from './testing/virtual-runtime.js'

test('[P4] a clock that counts sleep: neither a pause nor a set clock hides time', async () => {
  const runtime = virtualRuntime()
  const start = instantNow(runtime)
  expect(elapsedSince(runtime, start)).toBe(0)
  await runtime.advance(1_000)
  expect(elapsedSince(runtime, start)).toBe(1_000)
  // Asleep: timers and the monotonic clock stand still, the wall clock does not.
  runtime.sleep(60_000)
  expect(elapsedSince(runtime, start)).toBe(61_000)
  // The wall clock is set back: the monotonic one still knows.
  runtime.setWall(start.wallAt - 3_600_000)
  expect(elapsedSince(runtime, start)).toBe(1_000)
})

test('[P4] it never says that less than nothing has passed', () => {
  const runtime = virtualRuntime()
  const start = instantNow(runtime)
  runtime.setWall(0)
  expect(elapsedSince(runtime, { ...start, monotonicAt: 5 })).toBe(0)
})

test('[P7] the silent logger takes anything', () => {
  for (const level of ['debug', 'info', 'warn', 'error'] as const) {
    expect(silentLogger[level]('an event', { a: 1 })).toBeUndefined()
  }
})
