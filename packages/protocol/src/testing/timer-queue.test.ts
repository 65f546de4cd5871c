import { expect, test } from 'vitest'
import { seededRandom } from './seeded-random.js'
import { TimerQueue } from './timer-queue.js'

test('[C3] takes thousands of timers in the order of their instants, then of their age', () => {
  const random = seededRandom(5)
  const queue = new TimerQueue()
  const waiting: { dueAt: number; index: number }[] = []
  const taken: { dueAt: number; index: number }[] = []
  for (let index = 0; index < 3_000; index += 1) {
    const timer = { dueAt: Math.floor(random() * 200), index }
    const cancel = queue.add(timer.dueAt, () => taken.push(timer))
    if (random() < 0.4) cancel()
    else waiting.push(timer)
  }
  expect(queue.size).toBe(waiting.length)
  for (let next = queue.take(120); next !== null; next = queue.take(120)) next.run()
  for (let next = queue.take(Infinity); next !== null; next = queue.take(Infinity)) next.run()
  expect(queue.size).toBe(0)
  const sorted = waiting.toSorted((a, b) => a.dueAt - b.dueAt || a.index - b.index)
  expect(taken).toEqual(sorted)
})

test('[C3] takes nothing that is due later; a taken one cannot be cancelled', () => {
  const queue = new TimerQueue()
  const cancel = queue.add(10, () => undefined)
  expect(queue.take(9)).toBe(null)
  expect(queue.take(10)?.dueAt).toBe(10)
  cancel()
  expect(queue.size).toBe(0)
})
