import { virtualRuntime } from '@bmt-central/realtime-protocol/testing'
import { expect, test } from 'vitest'
import { Heartbeat } from './heartbeat.js'

function world(): {
  runtime: ReturnType<typeof virtualRuntime>
  heartbeat: Heartbeat
  answers: (() => void)[]
  deaths: number[]
} {
  const runtime = virtualRuntime()
  const answers: (() => void)[] = []
  const deaths: number[] = []
  const heartbeat = new Heartbeat({
    runtime,
    send: (answered) => answers.push(answered),
    dead: () => deaths.push(runtime.monotonicNow()),
  })
  return { runtime, heartbeat, answers, deaths }
}

test('[C5] one heartbeat every interval', async () => {
  const { runtime, heartbeat, answers } = world()
  heartbeat.start(30_000)
  await runtime.advance(29_999)
  expect(answers).toHaveLength(0)
  await runtime.advance(1)
  expect(answers).toHaveLength(1)
  heartbeat.packet()
  await runtime.advance(30_000)
  expect(answers).toHaveLength(2)
})

test('[C5] 10 s without any packet after a heartbeat: dead', async () => {
  const { runtime, heartbeat, deaths } = world()
  heartbeat.start(30_000)
  await runtime.advance(39_999)
  expect(deaths).toEqual([])
  await runtime.advance(1)
  expect(deaths).toEqual([40_000])
})

test('[C5] any packet counts as life, not only the answer', async () => {
  const { runtime, heartbeat, deaths } = world()
  heartbeat.start(30_000)
  await runtime.advance(9_999)
  for (let beat = 0; beat < 5; beat += 1) {
    await runtime.advance(30_000)
    heartbeat.packet()
  }
  expect(deaths).toEqual([])
  // One from before the heartbeat does not.
  await runtime.advance(60_000)
  expect(deaths).toHaveLength(1)
})

test('[C4] a check asks at once and gives 5 s', async () => {
  const { runtime, heartbeat, answers, deaths } = world()
  heartbeat.start(30_000)
  heartbeat.check()
  expect(answers).toHaveLength(1)
  await runtime.advance(4_999)
  expect(deaths).toEqual([])
  await runtime.advance(1)
  expect(deaths).toEqual([5_000])
})

test('[C4] a check shortens the limit of a heartbeat that is open, never lengthens it', async () => {
  const { runtime, heartbeat, deaths } = world()
  heartbeat.start(30_000)
  await runtime.advance(31_000)
  heartbeat.check()
  await runtime.advance(4_000)
  heartbeat.check()
  await runtime.advance(1_000)
  expect(deaths).toEqual([36_000])
})

test('[C4] a timer that fires far too late leads to a check with the short limit', async () => {
  const { runtime, heartbeat, answers, deaths } = world()
  heartbeat.start(30_000)
  await runtime.advance(20_000)
  runtime.sleep(3_600_000)
  await runtime.advance(10_000)
  expect(answers).toHaveLength(1)
  await runtime.advance(5_000)
  expect(deaths).toEqual([35_000])
})

test('[C4] asleep while a heartbeat was open: it is asked again before the link is given up', async () => {
  const { runtime, heartbeat, answers, deaths } = world()
  heartbeat.start(30_000)
  await runtime.advance(35_000)
  runtime.sleep(3_600_000)
  await runtime.advance(5_000)
  expect(deaths).toEqual([])
  expect(answers).toHaveLength(2)
  heartbeat.packet()
  await runtime.advance(10_000)
  expect(deaths).toEqual([])
})

test('[C5] an overdue answer is no reason to ask a link that was heard a moment ago', async () => {
  const { runtime, heartbeat, answers } = world()
  heartbeat.start(30_000)
  await runtime.advance(5_000)
  heartbeat.packet()
  for (let request = 0; request < 200; request += 1) heartbeat.suspect()
  expect(answers).toHaveLength(0)
  await runtime.advance(1_000)
  for (let request = 0; request < 200; request += 1) heartbeat.suspect()
  expect(answers).toHaveLength(1)
})

test('[C5] it measures the way there and back', async () => {
  const { runtime, heartbeat, answers } = world()
  heartbeat.start(30_000)
  expect(heartbeat.latencyMs).toBeNull()
  heartbeat.check()
  await runtime.advance(42)
  answers[0]?.()
  expect(heartbeat.latencyMs).toBe(42)
})

test('[C5] stopped, it leaves no timer and says nothing', async () => {
  const { runtime, heartbeat, answers, deaths } = world()
  heartbeat.start(30_000)
  heartbeat.check()
  heartbeat.stop()
  heartbeat.check()
  expect(runtime.pendingTimers).toBe(0)
  await runtime.advance(100_000)
  expect([answers.length, deaths.length]).toEqual([1, 0])
})

test('[C5] an interval of nothing does not spin', async () => {
  const { runtime, heartbeat, answers } = world()
  heartbeat.start(0)
  await runtime.advance(999)
  expect(answers).toHaveLength(0)
})
