import fc from 'fast-check'
import { virtualRuntime } from '@bmt-central/realtime-protocol/testing'
import { expect, test } from 'vitest'
import { Expiries, type Expiring } from './expiries.js'

interface One extends Expiring {
  readonly name: number
}

function started() {
  const runtime = virtualRuntime({ startAt: 0 })
  const ended: { name: number; at: number }[] = []
  const expiries = new Expiries<One>(runtime, ({ name }) => {
    ended.push({ name, at: runtime.wallNow() })
  })
  const add = (name: number, expiresAt: number): One => {
    const one: One = { name, expiresAt, expiryIndex: -1 }
    expiries.add(one)
    return one
  }
  return { runtime, expiries, ended, add }
}

test('[P10] whatever comes and goes, each ends once, at its time', async () => {
  const step = fc.record({ ms: fc.nat(50), leaves: fc.boolean(), passes: fc.nat(20) })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const { runtime, expiries, ended, add } = started()
      const waiting: One[] = []
      const expected: { name: number; at: number }[] = []
      const pass = async (ms: number): Promise<void> => {
        await runtime.advance(ms)
        for (const one of waiting.filter(({ expiresAt }) => expiresAt <= runtime.wallNow())) {
          waiting.splice(waiting.indexOf(one), 1)
          expected.push({ name: one.name, at: one.expiresAt })
        }
      }
      for (const [name, { ms, leaves, passes }] of steps.entries()) {
        waiting.push(add(name, runtime.wallNow() + 1 + ms))
        if (leaves) expiries.remove(waiting.splice(ms % waiting.length, 1)[0] as One)
        await pass(passes)
        expect(expiries.size).toBe(waiting.length)
      }
      await pass(100)
      const byName = (a: { name: number }, b: { name: number }): number => a.name - b.name
      expect(ended.toSorted(byName)).toEqual(expected.toSorted(byName))
      expect([expiries.size, runtime.pendingTimers]).toEqual([0, 0])
    }),
  )
})

test('[P10] one timer for all, and none where nothing is left', () => {
  const { runtime, expiries, add } = started()
  const all = [5_000, 3_000, 9_000, 1_000].map((at, index) => add(index, at))
  expect(runtime.pendingTimers).toBe(1)
  for (const one of all) expiries.remove(one)
  for (const one of all) expiries.remove(one)
  expect([expiries.size, runtime.pendingTimers]).toEqual([0, 0])
})

test('[P10] a clock that is set back ends nothing early', async () => {
  const { runtime, ended, add } = started()
  add(1, 1_000)
  await runtime.advance(500)
  runtime.setWall(0)
  await runtime.advance(999)
  expect(ended).toEqual([])
  await runtime.advance(1)
  expect(ended).toEqual([{ name: 1, at: 1_000 }])
})

test('[P10] after a clock was set forwards, nobody waits behind one that is over already', async () => {
  const { runtime, ended, add } = started()
  add(1, 60_000)
  runtime.setWall(100_000)
  add(2, 100_010)
  await runtime.advance(10)
  expect(ended.map(({ name }) => name)).toEqual([1, 2])
})
