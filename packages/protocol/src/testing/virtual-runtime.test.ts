import { describe, expect, test } from 'vitest'
import { isMessageId } from '../topic.js'
import { seededRandom } from './seeded-random.js'
import { virtualRuntime } from './virtual-runtime.js'

describe('time', () => {
  test('[C3] passes only when it is told to, and runs what falls due in order', async () => {
    const runtime = virtualRuntime({ startAt: 1_000 })
    const ran: string[] = []
    runtime.after(20, () => ran.push(`b ${runtime.monotonicNow()}`))
    runtime.after(10, () => ran.push(`a ${runtime.monotonicNow()}`))
    runtime.after(20, () => ran.push(`c ${runtime.monotonicNow()}`))
    runtime.after(31, () => ran.push('late'))
    await runtime.settle()
    expect(ran).toEqual([])
    await runtime.advance(30)
    expect(ran).toEqual(['a 10', 'b 20', 'c 20'])
    expect([runtime.monotonicNow(), runtime.wallNow(), runtime.pendingTimers]).toEqual([
      30, 1_030, 1,
    ])
  })

  test('[C3] what a timer starts runs in the same advance, when it falls due', async () => {
    const runtime = virtualRuntime()
    const ran: number[] = []
    const tick = (): void => {
      ran.push(runtime.monotonicNow())
      runtime.after(10, tick)
    }
    runtime.after(0, tick)
    await runtime.advance(35)
    expect(ran).toEqual([0, 10, 20, 30])
  })

  test('[C3] what a timer promises has happened before the next one', async () => {
    const runtime = virtualRuntime()
    const ran: string[] = []
    runtime.after(1, () => void Promise.resolve().then(() => ran.push('promise of a')))
    runtime.after(1, () => ran.push('b'))
    await runtime.advance(1)
    expect(ran).toEqual(['promise of a', 'b'])
  })

  test('[C3] a cancelled timer does not run; cancelling twice is fine', async () => {
    const runtime = virtualRuntime()
    const ran: string[] = []
    const cancel = runtime.after(10, () => ran.push('never'))
    cancel()
    cancel()
    expect(runtime.pendingTimers).toBe(0)
    await runtime.advance(100)
    expect(ran).toEqual([])
  })

  test('[C4] asleep, only the wall clock goes on', async () => {
    const runtime = virtualRuntime({ startAt: 0 })
    const ran: string[] = []
    runtime.after(10, () => ran.push('timer'))
    runtime.sleep(1_000)
    await runtime.settle()
    expect([ran.length, runtime.wallNow(), runtime.monotonicNow()]).toEqual([0, 1_000, 0])
    await runtime.advance(10)
    expect([ran.length, runtime.wallNow(), runtime.monotonicNow()]).toEqual([1, 1_010, 10])
  })

  test('[C4] the wall clock can be set; the other does not notice', async () => {
    const runtime = virtualRuntime()
    await runtime.advance(5)
    runtime.setWall(42)
    expect([runtime.wallNow(), runtime.monotonicNow()]).toEqual([42, 5])
    await runtime.advance(5)
    expect([runtime.wallNow(), runtime.monotonicNow()]).toEqual([47, 10])
  })
})

describe('chance and ids', () => {
  test('[C3] the same seed gives the same, another one something else', () => {
    const take = (seed: number) => {
      const runtime = virtualRuntime({ seed })
      return [runtime.random(), runtime.random(), runtime.id(), runtime.id()]
    }
    expect(take(7)).toEqual(take(7))
    expect(take(7)).not.toEqual(take(8))
  })

  test('[W2] ids differ and are long enough for an instance', () => {
    const runtime = virtualRuntime()
    const ids = Array.from({ length: 1_000 }, () => runtime.id())
    expect(new Set(ids).size).toBe(1_000)
    expect(ids.every((each) => isMessageId(each) && each.length >= 16)).toBe(true)
  })

  test('[C3] chance is spread evenly over [0, 1)', () => {
    const random = seededRandom(1)
    const values = Array.from({ length: 100_000 }, random)
    const counts = Array.from(
      { length: 10 },
      (_, tenth) => values.filter((value) => Math.floor(value * 10) === tenth).length,
    )
    expect(values.every((value) => value >= 0 && value < 1)).toBe(true)
    expect(Math.min(...counts)).toBeGreaterThan(9_500)
    expect(Math.max(...counts)).toBeLessThan(10_500)
  })
})
