import { afterEach, expect, test, vi } from 'vitest'
import { systemRuntime } from './system-runtime.js'

afterEach(() => vi.useRealTimers())

test('[W2] ids are 128 random bits of what an id may contain', () => {
  const ids = new Set(Array.from({ length: 1_000 }, () => systemRuntime.id()))
  expect(ids.size).toBe(1_000)
  for (const id of ids) expect(id).toMatch(/^[0-9a-f]{32}$/)
})

test('[L14] clocks and chance are the platform’s', () => {
  expect(Math.abs(systemRuntime.wallNow() - Date.now())).toBeLessThan(1_000)
  expect(systemRuntime.monotonicNow()).toBeLessThanOrEqual(systemRuntime.monotonicNow())
  expect(systemRuntime.random()).toBeGreaterThanOrEqual(0)
})

test('[C3] timers hold beyond what the platform’s own do, and can be stopped', () => {
  vi.useFakeTimers()
  const day = 86_400_000
  let rung = 0
  systemRuntime.after(60 * day, () => (rung += 1))
  const stop = systemRuntime.after(60 * day, () => (rung += 10))
  vi.advanceTimersByTime(59 * day)
  expect(rung).toBe(0)
  stop()
  stop()
  vi.advanceTimersByTime(2 * day)
  expect(rung).toBe(1)
  expect(vi.getTimerCount()).toBe(0)
})
