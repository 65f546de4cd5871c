import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { transform } from 'esbuild'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { systemRuntime } from './system-runtime.js'

const runtime = systemRuntime()

afterEach(() => vi.useRealTimers())

test('ids have 128 random bits in 22 characters of base64url, and never repeat', () => {
  const ids = Array.from({ length: 2_000 }, () => runtime.id())
  expect(new Set(ids).size).toBe(ids.length)
  for (const id of ids) expect(id).toMatch(/^[A-Za-z0-9_-]{22}$/)
  // Every bit is used: over 2,000 ids each character takes on (nearly) every value.
  const seen = Array.from({ length: 21 }, (_, at) => new Set(ids.map((id) => id[at])).size)
  expect(Math.min(...seen)).toBe(64)
})

test('clocks and chances', () => {
  const before = Date.now()
  expect(runtime.wallNow()).toBeGreaterThanOrEqual(before)
  const [first, second] = [runtime.monotonicNow(), runtime.monotonicNow()]
  expect(second).toBeGreaterThanOrEqual(first)
  const chances = Array.from({ length: 100 }, () => runtime.random())
  expect(chances.every((chance) => chance >= 0 && chance < 1)).toBe(true)
  expect(new Set(chances).size).toBeGreaterThan(90)
})

describe('after', () => {
  test('0 runs in a later turn, not within this one', async () => {
    const order: string[] = []
    const done = new Promise<void>((resolve) => {
      runtime.after(0, () => {
        order.push('timer')
        resolve()
      })
    })
    order.push('now')
    await Promise.resolve()
    order.push('microtask')
    await done
    expect(order).toEqual(['now', 'microtask', 'timer'])
  })

  test('never runs early', async () => {
    const startedAt = runtime.monotonicNow()
    await new Promise<void>((resolve) => runtime.after(20, resolve))
    expect(runtime.monotonicNow() - startedAt).toBeGreaterThanOrEqual(20)
  })

  test('what was cancelled does not run; cancelling twice is fine', async () => {
    const ran: string[] = []
    for (const ms of [0, 1]) {
      const cancel = runtime.after(ms, () => ran.push('cancelled'))
      cancel()
      cancel()
    }
    await new Promise<void>((resolve) => runtime.after(5, resolve))
    expect(ran).toEqual([])
  })

  test('[P10] waits up to the year 9999, though no timer of Node can', () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
    const MONTH_MS = 30 * 24 * 60 * 60_000
    const ran: number[] = []
    runtime.after(3 * MONTH_MS, () => ran.push(performance.now()))
    const cancelled = runtime.after(3 * MONTH_MS, () => ran.push(-1))
    runtime.after(Date.UTC(9999, 11, 31), () => ran.push(-2))
    const startedAt = performance.now()
    vi.advanceTimersByTime(2 * MONTH_MS)
    cancelled()
    vi.advanceTimersByTime(MONTH_MS - 1)
    expect(ran).toEqual([])
    vi.advanceTimersByTime(1)
    expect(ran).toEqual([startedAt + 3 * MONTH_MS])
    vi.advanceTimersByTime(10 * MONTH_MS)
    expect(ran).toHaveLength(1)
  })
})

test('a timer that waits does not keep the process alive', async () => {
  // In a process of its own, since this one is kept alive by the test runner.
  const source = await readFile(new URL('./system-runtime.ts', import.meta.url), 'utf8')
  const { code: module } = await transform(source, { loader: 'ts', format: 'esm' })
  const child = spawn(process.execPath, ['--input-type=module', '-'])
  child.stdin.end(`${module}
    systemRuntime().after(60_000, () => console.log('late'))
    systemRuntime().after(0, () => console.log('next turn'))`)
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => (output += String(chunk)))
  }
  const [code] = (await once(child, 'close')) as [number]
  expect([code, output]).toEqual([0, 'next turn\n'])
})
