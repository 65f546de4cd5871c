import assert from 'node:assert/strict'
import type { Position } from '@bmt-central/realtime-protocol'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { BrokerWorld, KEEP_ALL } from '../testing/broker-world.js'
import type { StreamPage } from './broker.js'
import { MemoryBroker } from './memory-broker.js'

const HOUR_MS = 60 * 60_000

/** What a random world does next. */
const steps = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant('publish' as const),
        topic: fc.integer({ min: 0, max: 6 }),
        from: fc.constantFrom('ann', 'ben', null),
        bytes: fc.integer({ min: 1, max: 400 }),
        resend: fc.boolean(),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant('read' as const),
        reader: fc.integer({ min: 0, max: 13 }),
        limit: fc.integer({ min: 1, max: 4 }),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant('subscribe' as const),
        topic: fc.integer({ min: 0, max: 6 }),
        local: fc.integer({ min: 0, max: 2 }),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant('wait' as const),
        hours: fc.constantFrom(0.01, 1, 30, 200),
      }),
    },
  ),
  { maxLength: 120 },
)

/** Somebody who follows one topic by its position. */
class Reader {
  position: Position

  constructor(position: Position) {
    this.position = position
  }

  /** Throws where a page is not the whole of what it says to be. */
  follow({ epoch, head, gap, publications }: StreamPage, limit: number): void {
    const seqs = publications.map(({ seq }) => seq)
    const changed = this.position.epoch !== epoch || this.position.seq > head
    assert.equal(gap?.reason === 'epoch_changed', changed)
    if (gap?.reason === 'expired') assert.equal(gap.from, this.position.seq + 1)
    const after = gap === null ? this.position.seq : (gap.to ?? 0)
    assert.equal(seqs.length, Math.min(limit, head - after))
    assert.deepEqual(
      seqs,
      seqs.map((_, index) => after + 1 + index),
    )
    this.position = { epoch, seq: seqs.at(-1) ?? after }
  }
}

test('[P1][P2][P3][L2][L18] whatever is forgotten: positions never mean two messages, and readers see all or are told', async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (actions) => {
      const limits = { maxTopics: 2, maxRetainedBytes: 4_000, maxIdempotencyIds: 12 }
      await using world = await BrokerWorld.open(() => new MemoryBroker(), { limits })
      const readers = new Map<number, Reader>()
      let number = 0
      for (const action of actions) {
        if (action.kind === 'publish') {
          if (!action.resend) number += 1
          const json = `"${'x'.repeat(action.bytes)}"`
          const facts = { from: action.from, json, hash: 'h', policy: { ...KEEP_ALL, size: 6 } }
          await world.publish(`t${action.topic}`, `m${number}`, facts).catch(roomOnly)
        } else if (action.kind === 'subscribe') {
          const topic = `t${action.topic}`
          await Promise.resolve()
            .then(() => world.broker.subscribers(topic, action.local))
            .catch(roomOnly)
        } else if (action.kind === 'wait') {
          await world.runtime.advance(action.hours * HOUR_MS)
        } else {
          const topic = `t${action.reader % 7}`
          const { position } = await world.broker.subscribers('unknown', 0)
          const reader = readers.get(action.reader) ?? new Reader(position)
          readers.set(action.reader, reader)
          const query = { since: reader.position, limit: action.limit, maxBytes: Infinity }
          reader.follow(await world.broker.read(topic, query), action.limit)
        }
        const { retainedBytes, idempotencyIds, streams } = world.broker.stats()
        expect(retainedBytes).toBeLessThanOrEqual(4_000)
        expect(idempotencyIds).toBeLessThanOrEqual(12)
        expect(streams).toBeLessThanOrEqual(4)
      }
      const places = world.heard.map(({ topic, epoch, seq }) => `${topic} ${epoch} ${seq}`)
      expect(new Set(places).size).toBe(places.length)
      const lastOf = new Map<string, number>()
      for (const { topic, epoch, seq } of world.heard) {
        expect(seq).toBe((lastOf.get(`${topic} ${epoch}`) ?? 0) + 1)
        lastOf.set(`${topic} ${epoch}`, seq)
      }
    }),
    { numRuns: 150 },
  )
})

/** With all topics subscribed there is no room for another: that is an answer, too. */
function roomOnly(error: unknown): void {
  assert.equal((error as { code?: unknown }).code, 'channel_full')
}
