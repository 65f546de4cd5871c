import { virtualRuntime } from '@bmt-central/realtime-protocol/testing'
import { expect, test } from 'vitest'
import { LocalRuntime } from './local-runtime.js'

test('[C4] asleep, timers stop; awake, all fire that fell due, but those that others cancel', async () => {
  const world = virtualRuntime({ startAt: 0 })
  const machine = new LocalRuntime(world)
  const ran: string[] = []
  const cancels: (() => void)[] = []
  machine.after(10, () => {
    ran.push('first')
    for (const cancel of cancels) cancel()
  })
  cancels.push(machine.after(20, () => ran.push('cancelled by the first')))
  machine.after(30, () => ran.push('third'))
  machine.after(500, () => ran.push('later'))
  machine.sleep()
  await world.advance(100)
  expect(ran).toEqual([])
  machine.wake()
  expect(ran).toEqual(['first', 'third'])
  await world.advance(400)
  expect(ran).toEqual(['first', 'third', 'later'])
  expect(world.pendingTimers).toBe(0)
})

test('[C4] frozen, clock and timers stand still, and only the wall clock has gone on', async () => {
  const world = virtualRuntime({ startAt: 0 })
  const machine = new LocalRuntime(world, 'frozen')
  const ran: string[] = []
  machine.after(10, () => ran.push('first'))
  await world.advance(4)
  machine.sleep()
  const cancel = machine.after(3, () => ran.push('never'))
  machine.after(7, () => ran.push('second'))
  await world.advance(100)
  expect([machine.monotonicNow(), machine.wallNow(), world.pendingTimers]).toEqual([4, 104, 0])
  machine.wake()
  cancel()
  await world.advance(5)
  expect(ran).toEqual([])
  await world.advance(1)
  expect([ran, machine.monotonicNow()]).toEqual([['first'], 10])
  await world.advance(1)
  expect([ran, world.pendingTimers]).toEqual([['first', 'second'], 0])
})

test('[C4] its wall clock can be set forwards without the others', () => {
  const world = virtualRuntime({ startAt: 0 })
  const machine = new LocalRuntime(world)
  machine.jump(60_000)
  expect([machine.wallNow(), machine.monotonicNow(), world.wallNow()]).toEqual([60_000, 0, 0])
})

test('[P7] of a process that died nothing runs, and nothing is left', async () => {
  const world = virtualRuntime()
  const machine = new LocalRuntime(world)
  const ran: string[] = []
  machine.after(10, () => ran.push('before'))
  machine.die()
  machine.after(10, () => ran.push('after'))
  expect(world.pendingTimers).toBe(0)
  await world.advance(100)
  expect(ran).toEqual([])
})
