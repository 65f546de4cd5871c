import type { Gap, Position } from '@bmt-central/realtime-protocol'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Publication } from '../publication.js'
import type { ReadQuery, StreamPage, StreamPolicy } from './broker.js'
import { Stream } from './stream.js'

const EPOCH = 'epoch'
const POLICY: StreamPolicy = { delivery: 'recoverable', size: 5, ttlMs: 100, bytes: 50 }

function publicationOf(seq: number, payloadBytes: number): Publication {
  return {
    topic: 'a',
    id: `m${seq}`,
    from: null,
    seq,
    epoch: EPOCH,
    payloadJson: 'x'.repeat(payloadBytes),
    payloadBytes,
    timestamp: 0,
  }
}

/** The same in the simplest words: a list that is filtered anew for each question. */
class Model {
  head = 0
  entries: { publication: Publication; at: number }[] = []

  append(publication: Publication, policy: StreamPolicy, now: number): void {
    this.head = publication.seq
    this.entries.push({ publication, at: now })
    const bytes = () => this.entries.reduce((sum, entry) => sum + entry.publication.payloadBytes, 0)
    while (this.entries.length > policy.size || bytes() > policy.bytes) this.entries.shift()
    this.expire(policy.ttlMs, now)
  }

  expire(ttlMs: number, now: number): void {
    this.entries = this.entries.filter(({ at }) => now - at < ttlMs)
  }

  gap(since: Position | undefined): Gap | null {
    if (since === undefined) return null
    const first = this.entries[0]?.publication.seq ?? this.head + 1
    const lost = Array.from({ length: first - 1 }, (_, index) => index + 1)
    if (since.epoch !== EPOCH || since.seq > this.head) {
      return { from: null, to: lost.at(-1) ?? null, epoch: EPOCH, reason: 'epoch_changed' }
    }
    const missed = lost.filter((seq) => seq > since.seq)
    const [from] = missed
    if (from === undefined) return null
    return { from, to: missed.at(-1) ?? null, epoch: EPOCH, reason: 'expired' }
  }

  read({ since, before, limit, maxBytes }: ReadQuery): StreamPage {
    const foreign = typeof before === 'object' && before.epoch !== EPOCH
    const until =
      before === undefined || foreign ? Infinity : typeof before === 'object' ? before.seq : before
    const gap = this.gap(since)
    const known = since !== undefined && gap?.reason !== 'epoch_changed' ? since.seq : 0
    const candidates = this.entries
      .map(({ publication }) => publication)
      .filter(({ seq }) => seq < until && seq > known)
    if (since === undefined) candidates.reverse()
    const page: Publication[] = []
    let bytes = 0
    for (const publication of candidates) {
      bytes += publication.payloadBytes
      if (page.length === limit || (page.length > 0 && bytes > maxBytes)) break
      page.push(publication)
    }
    const more = page.length < candidates.length
    if (since === undefined) page.reverse()
    const foreignGap = foreign ? this.gap({ epoch: 'another', seq: 0 }) : null
    return { epoch: EPOCH, head: this.head, gap: gap ?? foreignGap, publications: page, more }
  }
}

const positions = fc.record({
  epoch: fc.constantFrom(EPOCH, EPOCH, EPOCH, 'another'),
  seq: fc.integer({ min: 0, max: 90 }),
})
const queries = fc.record(
  {
    since: positions,
    before: fc.oneof(fc.integer({ min: 0, max: 90 }), positions),
    limit: fc.integer({ min: 0, max: 8 }),
    maxBytes: fc.integer({ min: 0, max: 60 }),
  },
  { requiredKeys: ['limit', 'maxBytes'] },
)
const steps = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ append: fc.integer({ min: 0, max: 60 }) }) },
    { weight: 2, arbitrary: fc.record({ read: queries }) },
    { weight: 1, arbitrary: fc.record({ waitMs: fc.integer({ min: 0, max: 60 }) }) },
  ),
  { maxLength: 80 },
)
const policies = fc.record({
  delivery: fc.constant('recoverable' as const),
  size: fc.integer({ min: 0, max: 40 }),
  ttlMs: fc.integer({ min: 0, max: 200 }),
  bytes: fc.integer({ min: 0, max: 400 }),
})

test('[L2][P3][W13][L16] does what the simplest list would do', () => {
  fc.assert(
    fc.property(policies, steps, (policy, actions) => {
      const stream = new Stream(EPOCH)
      const model = new Model()
      let now = 0
      for (const action of actions) {
        if ('append' in action) {
          const publication = publicationOf(model.head + 1, action.append)
          stream.append(publication, policy, now)
          model.append(publication, policy, now)
        }
        if ('waitMs' in action) now += action.waitMs
        const query = 'read' in action ? action.read : { limit: 3, maxBytes: 60 }
        model.expire(policy.ttlMs, now)
        expect(stream.read(query, now)).toEqual(model.read(query))
        expect(stream.size).toBe(model.entries.length)
        expect(stream.head).toBe(model.head)
        expect(stream.size).toBeLessThanOrEqual(policy.size)
        expect(stream.bytes).toBeLessThanOrEqual(policy.bytes)
        expect(stream.heldBytes).toBe(stream.bytes + 256 * stream.size)
      }
    }),
    { numRuns: 500 },
  )
})

test('[P2] whoever pages with `since` gets what is retained, in order, each once', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 30 }), { maxLength: 60 }),
      fc.integer({ min: 1, max: 9 }),
      fc.integer({ min: 0, max: 60 }),
      (sizes, limit, maxBytes) => {
        const policy = { ...POLICY, size: 40, bytes: 500 }
        const stream = new Stream(EPOCH)
        for (const [index, size] of sizes.entries()) {
          stream.append(publicationOf(index + 1, size), policy, 0)
        }
        const first = stream.oldest
        const seen: number[] = []
        let since = { epoch: EPOCH, seq: 0 }
        let more = true
        while (more) {
          const page = stream.read({ since, limit, maxBytes }, 0)
          seen.push(...page.publications.map(({ seq }) => seq))
          since = { epoch: EPOCH, seq: seen.at(-1) ?? stream.head }
          more = page.more
        }
        expect(seen).toEqual(Array.from({ length: stream.size }, (_, index) => first + index))
      },
    ),
  )
})

describe('edges', () => {
  test('[L2] a publication larger than all that may be kept empties the stream', () => {
    const stream = new Stream(EPOCH)
    for (const [index, bytes] of [10, 10, 51].entries()) {
      stream.append(publicationOf(index + 1, bytes), POLICY, 0)
    }
    expect([stream.head, stream.size, stream.oldest, stream.bytes]).toEqual([3, 0, 4, 0])
  })

  test('[L2] something is as old as its ttl at that very instant', () => {
    const stream = new Stream(EPOCH)
    stream.append(publicationOf(1, 1), POLICY, 1_000)
    stream.expire(1_099)
    expect(stream.size).toBe(1)
    stream.expire(1_100)
    expect(stream.size).toBe(0)
  })

  test('[P1] a publication that does not follow is refused: a broker with a fault must not go on', () => {
    const stream = new Stream(EPOCH)
    expect(() => stream.append(publicationOf(2, 1), POLICY, 0)).toThrow('cannot follow')
    const foreign = { ...publicationOf(1, 1), epoch: 'another' }
    expect(() => stream.append(foreign, POLICY, 0)).toThrow('cannot follow')
    expect(stream.head).toBe(0)
  })

  test('dropping from an empty stream does nothing', () => {
    const stream = new Stream(EPOCH)
    stream.dropOldest()
    expect([stream.head, stream.size, stream.oldest]).toEqual([0, 0, 1])
  })

  test('[L18] text beyond Latin-1 is counted as what it takes in memory', () => {
    const stream = new Stream(EPOCH)
    const payloadJson = `"${'x'.repeat(997)}日"`
    const publication = { ...publicationOf(1, 0), payloadJson, payloadBytes: 1_002 }
    stream.append(publication, { ...POLICY, bytes: 10_000 }, 0)
    expect(stream.bytes).toBe(1_002)
    expect(stream.heldBytes).toBe(2_000 + 256)
    stream.dropOldest()
    expect(stream.heldBytes).toBe(0)
  })

  test('appending costs the same, however much is retained', () => {
    // 200,000 appends to a full stream of 100,000: with a scan or a shift each, this would take minutes.
    const policy = { ...POLICY, size: 100_000, bytes: Infinity, ttlMs: Infinity }
    const stream = new Stream(EPOCH)
    for (let seq = 1; seq <= 300_000; seq += 1) stream.append(publicationOf(seq, 1), policy, seq)
    expect([stream.size, stream.oldest]).toEqual([100_000, 200_001])
    expect(stream.read({ limit: 1, maxBytes: 10 }, 0).publications[0]?.seq).toBe(300_000)
  })
})
