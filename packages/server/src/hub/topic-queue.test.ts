import { expect, test } from 'vitest'
import { TopicQueue } from './topic-queue.js'

function gate(): { promise: Promise<void>; open: () => void } {
  let open: () => void = () => undefined
  const promise = new Promise<void>((resolve) => (open = resolve))
  return { promise, open }
}

test('[W6] requests to one topic run in order, those to others do not wait', async () => {
  const queue = new TopicQueue()
  const log: string[] = []
  const first = gate()
  queue.add(['a'], async () => {
    await first.promise
    log.push('a1')
  })
  queue.add(['a'], () => void log.push('a2'))
  queue.add(['b'], () => void log.push('b1'))
  expect(log).toEqual(['b1'])
  first.open()
  await first.promise
  await new Promise(setImmediate)
  expect(log).toEqual(['b1', 'a1', 'a2'])
  expect(queue.size).toBe(0)
})

test('[W6][W10] a batch waits for all of its topics and holds all of them', async () => {
  const queue = new TopicQueue()
  const log: string[] = []
  const a = gate()
  const b = gate()
  queue.add(['a'], () => a.promise.then(() => void log.push('a')))
  queue.add(['b'], () => b.promise.then(() => void log.push('b')))
  queue.add(['a', 'b', 'a'], () => void log.push('batch'))
  queue.add(['b'], () => void log.push('after'))
  a.open()
  await new Promise(setImmediate)
  expect(log).toEqual(['a'])
  b.open()
  await new Promise(setImmediate)
  expect(log).toEqual(['a', 'b', 'batch', 'after'])
  expect(queue.size).toBe(0)
})

test('[W6] a thousand tasks that end at once keep nothing', () => {
  const queue = new TopicQueue()
  let ran = 0
  for (let index = 0; index < 1_000; index += 1) queue.add(['a'], () => void (ran += 1))
  expect(ran).toBe(1_000)
  expect(queue.size).toBe(0)
})

test('[W6][P7] 20,000 requests behind a slow one cost no stack', async () => {
  const queue = new TopicQueue()
  const first = gate()
  let ran = 0
  queue.add(['a'], () => first.promise)
  for (let count = 0; count < 20_000; count += 1) queue.add(['a'], () => void (ran += 1))
  first.open()
  await new Promise(setImmediate)
  expect(ran).toBe(20_000)
  expect(queue.size).toBe(0)
})
