import type { PublishAck, ReceivedMessage } from '@bmt-central/realtime'
import { expect, test } from 'vitest'
import { Ledger } from './ledger.js'

const TOPIC = 'public:told'

function told(seq: number, more: Partial<ReceivedMessage<number>> = {}): ReceivedMessage<number> {
  const id = `m${seq}`
  const place = { id, seq, epoch: 'e', payload: seq }
  return { type: 'event', topic: TOPIC, timestamp: 0, from: null, own: false, ...place, ...more }
}

function ack(seq: number, more: Partial<PublishAck> = {}): PublishAck {
  const place = { messageId: `m${seq}`, seq, epoch: 'e' }
  return { topic: TOPIC, deliveredTo: 2, duplicate: false, ...place, ...more }
}

test('[P1][P2] what is heard by all and acknowledged is in order, and forgotten', () => {
  const ledger = new Ledger(2)
  ledger.heard(0, told(1))
  ledger.acknowledged(1, ack(1))
  ledger.acknowledged(2, ack(2))
  expect(ledger.complete).toBe(false)
  expect(ledger.unsettled).toHaveLength(2)
  ledger.heard(1, told(1))
  for (const reader of [0, 1]) ledger.heard(reader, told(2))
  expect(ledger).toMatchObject({ faults: [], unsettled: [], complete: true, head: 2 })
  expect(ledger).toMatchObject({ acknowledgements: 2, deliveries: 4, gaps: 0 })
})

test.each<[string, (ledger: Ledger) => void]>([
  ['a hole', (ledger) => ledger.heard(0, told(3))],
  ['a double', (ledger) => ledger.heard(0, told(1))],
  ['another order', (ledger) => ledger.heard(0, told(2, { payload: 1 }))],
  ['another epoch', (ledger) => ledger.heard(0, told(2, { epoch: 'f' }))],
  [
    'an acknowledgement of another epoch',
    (ledger) => ledger.acknowledged(2, ack(2, { epoch: 'f' })),
  ],
  ['two ids at one place', (ledger) => ledger.heard(1, told(1, { id: 'other' }))],
  ['an acknowledgement of what stands elsewhere', (ledger) => ledger.acknowledged(2, ack(1))],
  ['a gap', (ledger) => ledger.gap(0, { from: 2, to: 3, epoch: 'e', reason: 'expired' })],
])('[P1][P2][P6] %s is found', (_, breakPromise) => {
  const ledger = new Ledger(2)
  ledger.heard(0, told(1))
  expect(ledger.faults).toEqual([])
  breakPromise(ledger)
  expect(ledger.faults.length).toBeGreaterThan(0)
})

test('[P6] one place that is acknowledged twice is found, also where it was forgotten', () => {
  const ledger = new Ledger(1)
  ledger.heard(0, told(1))
  ledger.acknowledged(1, ack(1))
  ledger.acknowledged(2, ack(1))
  expect(ledger.faults).toEqual(['place 1 was acknowledged twice'])
})
