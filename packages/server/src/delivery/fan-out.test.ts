import { RealtimeError } from '@bmt-central/realtime-protocol'
import { seededRandom } from '@bmt-central/realtime-protocol/testing'
import { describe, expect, test } from 'vitest'
import { MemoryBroker } from '../broker/memory-broker.js'
import { DeliveryRig } from '../testing/rig/delivery-rig.js'
import { catchUp } from './catch-up.js'

const KIB = 1_024

describe('FanOut', () => {
  test('[P1] what arises in a turn leaves with it, in order, in one write', () => {
    const rig = new DeliveryRig()
    const [ann, bob] = [rig.connect('ann'), rig.connect('bob')]
    for (const one of [ann, bob]) rig.subscribe(one, 'a')
    rig.turn()
    ann.answer('ack')
    for (let n = 0; n < 3; n += 1) rig.publish('a')
    expect([ann.wire.writes, ann.heard.length]).toEqual([1, 1])
    rig.turn()
    expect(ann.heard.slice(1)).toEqual(['ack', 'a1', 'a2', 'a3'])
    expect(bob.heard.slice(1)).toEqual(['a1', 'a2', 'a3'])
    expect([ann.wire.writes, bob.wire.writes]).toEqual([2, 2])
    expect(rig.journal.deliveredTotal).toBe(6)
  })

  test('[P1] several channels of a connection leave in one write', () => {
    const rig = new DeliveryRig()
    const ann = rig.connect('ann')
    for (const topic of ['a', 'b', 'c']) rig.subscribe(ann, topic)
    rig.turn()
    for (const topic of ['a', 'b', 'a', 'c', 'a']) rig.publish(topic)
    rig.turn()
    expect(ann.wire.writes).toBe(2)
    expect(ann.heard.slice(3)).toEqual(['a1', 'a2', 'a3', 'b1', 'c1'])
  })

  test('[P1] nothing waits where nobody listens', () => {
    const rig = new DeliveryRig()
    rig.channel('a')
    rig.publish('a')
    rig.publish('unknown')
    expect(rig.scheduled).toBe(false)
  })

  test('[P2] whoever subscribes in the middle of a turn gets what comes after it', () => {
    const rig = new DeliveryRig()
    const [ann, bob] = [rig.connect('ann'), rig.connect('bob')]
    rig.subscribe(ann, 'a')
    rig.publish('a')
    rig.subscribe(bob, 'a')
    rig.publish('a')
    rig.turn()
    expect(ann.heard).toEqual(['subscribed a', 'a1', 'a2'])
    expect(bob.heard).toEqual(['subscribed a', 'a2'])
  })

  test('[P11] the same of an ephemeral channel, which has no `seq` to tell by', () => {
    const rig = new DeliveryRig()
    const [ann, bob] = [rig.connect('ann'), rig.connect('bob')]
    rig.subscribe(ann, 'typing')
    rig.publish('typing')
    rig.subscribe(bob, 'typing')
    rig.publish('typing')
    rig.subscribe(ann, 'typing')
    rig.publish('typing')
    rig.turn()
    expect(ann.heard).toEqual([
      'subscribed typing',
      'typing1',
      'typing2',
      'subscribed typing',
      'typing3',
    ])
    expect(bob.heard).toEqual(['subscribed typing', 'typing2', 'typing3'])
  })

  test('[W10] a repeated subscribe gets what was announced before, then its answer, then the rest', () => {
    const rig = new DeliveryRig()
    const ann = rig.connect('ann')
    rig.subscribe(ann, 'a')
    rig.publish('a')
    rig.subscribe(ann, 'a')
    rig.publish('a')
    rig.turn()
    expect(ann.heard).toEqual(['subscribed a', 'a1', 'subscribed a', 'a2'])
  })

  test('[W11] nothing of a topic follows its unsubscribe, in no part of a turn', () => {
    const rig = new DeliveryRig()
    const ann = rig.connect('ann')
    for (const topic of ['a', 'b']) rig.subscribe(ann, topic)
    rig.turn()
    rig.publish('a')
    rig.publish('b')
    rig.unsubscribe(ann, 'a')
    rig.publish('a')
    rig.turn()
    expect(ann.heard.slice(2)).toEqual(['a1', 'unsubscribed a', 'b1'])
  })

  test('[W11] nor where it had left for the outlet already', () => {
    const rig = new DeliveryRig()
    const ann = rig.connect('ann')
    rig.subscribe(ann, 'a')
    rig.publish('a')
    rig.fanOut.spread()
    rig.unsubscribe(ann, 'a')
    rig.turn()
    expect(ann.heard).toEqual(['subscribed a', 'a1', 'unsubscribed a'])
  })

  test('[P2] leaving and coming back within a turn neither doubles nor loses', () => {
    const rig = new DeliveryRig()
    const ann = rig.connect('ann')
    rig.subscribe(ann, 'a')
    rig.publish('a')
    rig.unsubscribe(ann, 'a')
    rig.publish('a')
    rig.subscribe(ann, 'a')
    rig.publish('a')
    rig.turn()
    expect(ann.heard).toEqual(['subscribed a', 'a1', 'unsubscribed a', 'subscribed a', 'a3'])
  })

  test('[P3] a new epoch in the middle of a turn goes on from its first', () => {
    const rig = new DeliveryRig()
    const ann = rig.connect('ann')
    rig.subscribe(ann, 'a', { epoch: 'e', seq: 8 })
    rig.publish('a', { seq: 9 })
    rig.publish('a', { epoch: 'f', seq: 1 })
    rig.publish('a', { epoch: 'f', seq: 2 })
    rig.turn()
    expect(ann.heard).toEqual(['subscribed a', 'a9', 'a1', 'a2'])
    // And it knows where it stands: what is announced again is not passed on again.
    rig.publish('a', { epoch: 'f', seq: 2 })
    rig.publish('a', { epoch: 'f', seq: 3 })
    rig.turn()
    expect(ann.heard.slice(4)).toEqual(['a3'])
  })

  test('[P2] what is announced late, below the position of an answer, is not passed on', () => {
    const rig = new DeliveryRig()
    const ann = rig.connect('ann')
    rig.subscribe(ann, 'a', { epoch: 'e', seq: 2 })
    for (let n = 0; n < 4; n += 1) rig.publish('a')
    rig.turn()
    expect(ann.heard).toEqual(['subscribed a', 'a3', 'a4'])
    expect(rig.journal.deliveredTotal).toBe(2)
  })

  test('[P2] while its past is read everything waits, and follows the answer', () => {
    const rig = new DeliveryRig()
    const ann = rig.connect('ann')
    const channel = rig.channel('a')
    const subscription = rig.hub.join(ann.connection, channel)
    subscription.join()
    for (let n = 0; n < 3; n += 1) rig.publish('a')
    rig.turn()
    rig.publish('a')
    expect(ann.heard).toEqual([])
    ann.answer('ack')
    const waited = subscription.settle({ epoch: 'e', seq: 2 })
    expect(waited.map(({ seq }) => seq)).toEqual([3, 4])
    rig.publish('a')
    rig.turn()
    // The fourth waited in both: it is not passed on twice.
    expect(ann.heard).toEqual(['ack', 'a5'])
  })

  test('[P7] more than may wait for the end of a turn leaves before it', () => {
    const rig = new DeliveryRig()
    const ann = rig.connect('ann')
    rig.subscribe(ann, 'a')
    const channel = rig.channel('a')
    for (let n = 0; n < 100; n += 1) {
      rig.publish('a', { payloadBytes: 100 * KIB })
      expect(channel.waiting.length).toBeLessThanOrEqual(41)
    }
    rig.turn()
    expect(ann.heard.slice(1)).toEqual(Array.from({ length: 100 }, (_, index) => `a${index + 1}`))
  })

  test('[P7][L8] a reader that is ended in the middle of it costs the others nothing', () => {
    const rig = new DeliveryRig({ maxBufferedBytes: 64 * KIB, hardMaxBufferedBytes: 64 * KIB })
    const listeners = ['ann', 'slow', 'slower', 'bob'].map((id) => rig.connect(id))
    const [ann, slow, slower, bob] = listeners
    for (const one of listeners) rig.subscribe(one, 'a')
    rig.turn()
    if (ann === undefined || slow === undefined || slower === undefined || bob === undefined) return
    for (const one of [slow, slower]) {
      one.wire.stuck = true
      one.answer('x'.repeat(63 * KIB))
    }
    // As a listener of `disconnect` may do: it publishes while the others are being served.
    rig.onEnd = () => void rig.publish('a', { payloadJson: '"from within"' })
    rig.publish('a', { payloadJson: JSON.stringify('y'.repeat(2 * KIB)) })
    rig.turn()
    expect(rig.ended).toEqual(['slow slow_consumer', 'slower slow_consumer'])
    for (const one of [ann, bob]) {
      expect(one.heard).toEqual(['subscribed a', 'a1', 'a2', 'a3'])
    }
  })

  test('[P7] what throws while one connection is served costs the others and other channels nothing', () => {
    const rig = new DeliveryRig({ maxBufferedBytes: 64 * KIB, hardMaxBufferedBytes: 64 * KIB })
    const [slow, ann] = [rig.connect('slow'), rig.connect('ann')]
    for (const topic of ['a', 'b']) for (const one of [slow, ann]) rig.subscribe(one, topic)
    rig.turn()
    slow.wire.stuck = true
    slow.answer('x'.repeat(63 * KIB))
    rig.onEnd = () => {
      throw new Error('of the application')
    }
    rig.publish('a', { payloadJson: JSON.stringify('y'.repeat(2 * KIB)) })
    rig.publish('b')
    rig.turn()
    rig.publish('b')
    rig.turn()
    expect(ann.heard.slice(2)).toEqual(['a1', 'b1', 'b2'])
    expect(rig.log.map(({ event }) => event)).toEqual(['failed'])
  })

  test('[P7] a reader that is ended while it catches up leaves nothing behind', async () => {
    const rig = new DeliveryRig({ maxBufferedBytes: 64 * KIB, hardMaxBufferedBytes: 64 * KIB })
    const slow = rig.connect('slow')
    rig.subscribe(slow, 'a')
    rig.turn()
    slow.wire.stuck = true
    slow.answer('x'.repeat(63 * KIB))
    rig.publish('a', { payloadJson: JSON.stringify('y'.repeat(2 * KIB)) })
    const channel = rig.channel('a')
    await catchUp(channel, { broker: new MemoryBroker(), journal: rig.journal, fanOut: rig.fanOut })
    expect(rig.ended).toEqual(['slow slow_consumer'])
    expect([channel.joining.size, channel.live, channel.subscribers.size]).toEqual([0, 0, 0])
  })

  test('[L8] of a slow reader of `latest` only the newest is kept, with how many it skipped', () => {
    const rig = new DeliveryRig()
    const ann = rig.connect('ann')
    for (const topic of ['metrics', 'a']) rig.subscribe(ann, topic)
    rig.turn()
    ann.wire.stuck = true
    ann.answer('x'.repeat(65 * KIB))
    rig.turn()
    for (let n = 0; n < 3; n += 1) {
      rig.publish('metrics')
      rig.publish('metrics')
      rig.publish('a')
      rig.turn()
    }
    ann.connection.end(new RealtimeError('stale', 'it was silent'))
    expect(ann.heard.slice(3, 7)).toEqual(['a1', 'a2', 'metrics6 skipped 5', 'a3'])
  })

  test.each([1, 2, 3, 4, 5])(
    '[P1][P2][W11] generated turns: nobody misses, doubles or disorders anything (seed %i)',
    (seed) => {
      const random = seededRandom(seed)
      const rig = new DeliveryRig()
      const topics = ['a', 'b', 'c', 'typing']
      const below = (most: number): number => Math.floor(random() * most)
      const listeners = ['ann', 'bob', 'eve'].map((id) => rig.connect(id))
      const expected = listeners.map((): string[] => [])
      const subscribed = listeners.map(() => new Set<string>())
      let counts = 0
      for (let step = 0; step < 3_000; step += 1) {
        const which = below(listeners.length)
        const listener = listeners[which]
        const topic = topics[below(topics.length)] ?? 'a'
        const choice = random()
        if (listener === undefined) continue
        if (choice < 0.6) {
          const { seq } = rig.publish(topic)
          for (const [index, own] of subscribed.entries()) {
            if (own.has(topic)) expected[index]?.push(`${topic}${seq}`)
          }
          counts += 1
        } else if (choice < 0.75) {
          rig.subscribe(listener, topic)
          subscribed[which]?.add(topic)
          expected[which]?.push(`subscribed ${topic}`)
        } else if (choice < 0.9) {
          rig.unsubscribe(listener, topic)
          subscribed[which]?.delete(topic)
          expected[which]?.push(`unsubscribed ${topic}`)
        } else if (choice < 0.93) rig.fanOut.spread()
        else rig.turn()
      }
      rig.turn()
      // Order is a matter of each topic: answers and messages of other topics may pass each other.
      const ofTopic = (heard: readonly string[] | undefined, topic: string): string[] =>
        (heard ?? []).filter((one) => one.replace(/^(un)?subscribed /u, '').startsWith(topic))
      for (const [index, { heard }] of listeners.entries()) {
        for (const topic of topics) {
          expect(ofTopic(heard, topic)).toEqual(ofTopic(expected[index], topic))
        }
      }
      expect(counts).toBeGreaterThan(1_000)
    },
  )
})
