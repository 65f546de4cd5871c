import { parseTopic } from '@bmt-central/realtime-protocol'
import { expect, test } from 'vitest'
import type { Publication } from '../publication.js'
import { Subscription } from './subscription.js'

function publication(seq: number, epoch: string = 'e', payloadBytes: number = 1): Publication {
  const topic = parseTopic('a')
  return {
    topic,
    id: `m${seq}`,
    from: null,
    seq,
    epoch,
    payloadJson: '1',
    payloadBytes,
    timestamp: 0,
  }
}

function fresh() {
  const channel = { live: 0, announced: 0, joining: new Set<Subscription>() }
  return { channel, subscription: new Subscription(channel) }
}

const seqs = (publications: readonly Publication[]): number[] => publications.map(({ seq }) => seq)

test('[P2] what waited is passed on from the position of the answer, once', () => {
  const { subscription } = fresh()
  subscription.join()
  for (const seq of [3, 4, 5, 6]) subscription.wait(publication(seq))
  expect(seqs(subscription.settle({ epoch: 'e', seq: 4 }))).toEqual([5, 6])
  expect(subscription.live).toBe(true)
  expect([5, 6, 7].map((seq) => subscription.advance(publication(seq)))).toEqual([
    false,
    false,
    true,
  ])
  expect(subscription.position).toEqual({ epoch: 'e', seq: 7 })
})

test('[P2] a second settle of the same join changes nothing', () => {
  const { subscription } = fresh()
  subscription.join()
  subscription.wait(publication(5))
  subscription.join()
  expect(seqs(subscription.settle({ epoch: 'e', seq: 4 }))).toEqual([5])
  expect(subscription.settle({ epoch: 'e', seq: 4 })).toEqual([])
  expect(subscription.position.seq).toBe(5)
})

test('[P3] a new epoch begins anew', () => {
  const { subscription } = fresh()
  subscription.join()
  subscription.settle({ epoch: 'e', seq: 9 })
  expect(subscription.advance(publication(1, 'f'))).toBe(true)
  expect(subscription.position).toEqual({ epoch: 'f', seq: 1 })
})

test.each([
  ['publications', 1_001, 1],
  ['bytes', 3, 400 * 1_024],
])('[P7] more %s than may wait are let go, and it says so', (_name, count, bytes) => {
  const { subscription } = fresh()
  subscription.join()
  for (let seq = 1; seq < count; seq += 1) subscription.wait(publication(seq, 'e', bytes))
  expect(subscription.overflowed).toBe(false)
  subscription.wait(publication(count, 'e', bytes))
  subscription.wait(publication(count + 1))
  expect(subscription.overflowed).toBe(true)
  subscription.restart()
  subscription.wait(publication(count + 2))
  expect(seqs(subscription.settle({ epoch: 'e', seq: 0 }))).toEqual([count + 2])
})

test('[P11] of an ephemeral topic the newest go on waiting', () => {
  const { subscription } = fresh()
  subscription.join()
  for (let n = 1; n <= 1_500; n += 1) subscription.wait({ ...publication(0, ''), id: `m${n}` })
  expect(subscription.overflowed).toBe(false)
  const waited = subscription.settle({ epoch: '', seq: 0 })
  expect([waited.length, waited.at(-1)?.id]).toEqual([1_000, 'm1500'])
  expect(subscription.advance(publication(0, ''))).toBe(true)
})

test('[W12] it counts as live while it joins and lives, not while it pages or when it has left', () => {
  const { channel, subscription } = fresh()
  const seen: number[] = []
  for (const step of ['join', 'page', 'join', 'settle', 'join', 'leave', 'leave'] as const) {
    if (step === 'settle') subscription.settle({ epoch: 'e', seq: 0 })
    else subscription[step]()
    seen.push(channel.live)
  }
  expect(seen).toEqual([1, 0, 1, 1, 1, 0, 0])
})

test('[W10] while it pages nothing waits', () => {
  const { subscription } = fresh()
  subscription.join()
  subscription.wait(publication(1))
  subscription.page()
  subscription.wait(publication(2))
  subscription.join()
  subscription.wait(publication(3))
  expect(seqs(subscription.settle({ epoch: 'e', seq: 0 }))).toEqual([3])
})
