import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { gapSince, place, resumeAfter, type Position, type StreamBounds } from './position.js'

const epoch = fc.constantFrom('A', 'B')
const seq = fc.integer({ min: 0, max: 12 })
const position = fc.record({ epoch, seq })
/** A stream that has said `head` messages and still holds those from `oldest` on. */
const stream = fc
  .record({ epoch, head: seq, kept: seq })
  .map(({ epoch, head, kept }): StreamBounds => ({
    epoch,
    head,
    oldest: Math.max(1, head - kept + 1),
  }))

const range = (from: number, to: number): number[] =>
  Array.from({ length: Math.max(0, to - from + 1) }, (_, index) => from + index)

describe('place', () => {
  test.each([
    [null, { epoch: 'A', seq: 7 }, 'deliver'],
    [{ epoch: 'A', seq: 0 }, { epoch: 'A', seq: 1 }, 'deliver'],
    [{ epoch: 'A', seq: 6 }, { epoch: 'A', seq: 7 }, 'deliver'],
    [{ epoch: 'A', seq: 7 }, { epoch: 'A', seq: 7 }, 'duplicate'],
    [{ epoch: 'A', seq: 7 }, { epoch: 'A', seq: 1 }, 'duplicate'],
    [{ epoch: 'A', seq: 5 }, { epoch: 'A', seq: 7 }, 'gap'],
    [{ epoch: 'A', seq: 5 }, { epoch: 'B', seq: 6 }, 'new_epoch'],
    [{ epoch: 'A', seq: 5 }, { epoch: 'B', seq: 1 }, 'new_epoch'],
  ] as const)('[P1][P2] after %j, %j is: %s', (last, next, placement) => {
    expect(place(last, next)).toBe(placement)
  })

  test('[P2] of any arrivals of one epoch, what is delivered is in order, each once, no hole', () => {
    fc.assert(
      fc.property(seq, fc.array(seq), (start, arrivals) => {
        let last: Position = { epoch: 'A', seq: start }
        const delivered: number[] = []
        for (const arrival of arrivals) {
          const next = { epoch: 'A', seq: arrival }
          if (place(last, next) !== 'deliver') continue
          delivered.push(arrival)
          last = next
        }
        expect(delivered).toEqual(range(start + 1, start + delivered.length))
      }),
    )
  })

  test('[P2] everything arrives once, in any order, with any repetition, when holes are asked for', () => {
    fc.assert(
      fc.property(fc.shuffledSubarray([...range(1, 9), ...range(1, 9)]), (arrivals) => {
        let last = 0
        const delivered: number[] = []
        const deliver = (next: number): void => {
          delivered.push(next)
          last = next
        }
        for (const arrival of arrivals) {
          const placement = place({ epoch: 'A', seq: last }, { epoch: 'A', seq: arrival })
          if (placement === 'deliver') deliver(arrival)
          else if (placement === 'gap') range(last + 1, arrival).forEach(deliver)
        }
        expect(delivered).toEqual(range(1, Math.max(0, ...arrivals)))
      }),
    )
  })
})

describe('gapSince and resumeAfter', () => {
  test.each([
    ['nothing is missing', { epoch: 'A', seq: 3 }, { epoch: 'A', head: 9, oldest: 4 }, null, 3],
    ['at the head', { epoch: 'A', seq: 9 }, { epoch: 'A', head: 9, oldest: 10 }, null, 9],
    ['at the very start', { epoch: 'A', seq: 0 }, { epoch: 'A', head: 0, oldest: 1 }, null, 0],
    [
      'some have gone',
      { epoch: 'A', seq: 2 },
      { epoch: 'A', head: 9, oldest: 5 },
      { from: 3, to: 4, epoch: 'A', reason: 'expired' },
      4,
    ],
    [
      'all have gone',
      { epoch: 'A', seq: 2 },
      { epoch: 'A', head: 9, oldest: 10 },
      { from: 3, to: 9, epoch: 'A', reason: 'expired' },
      9,
    ],
    [
      'another epoch, all of it there',
      { epoch: 'A', seq: 5 },
      { epoch: 'B', head: 3, oldest: 1 },
      { from: null, to: null, epoch: 'B', reason: 'epoch_changed' },
      0,
    ],
    [
      'another epoch, its first ones gone',
      { epoch: 'A', seq: 5 },
      { epoch: 'B', head: 9, oldest: 4 },
      { from: null, to: 3, epoch: 'B', reason: 'epoch_changed' },
      3,
    ],
    [
      'ahead of the head',
      { epoch: 'A', seq: 10 },
      { epoch: 'A', head: 9, oldest: 1 },
      { from: null, to: null, epoch: 'A', reason: 'epoch_changed' },
      0,
    ],
  ])('[P3] %s', (_what, since, bounds, gap, resume) => {
    expect(gapSince(since, bounds)).toEqual(gap)
    expect(resumeAfter(since, gapSince(since, bounds))).toBe(resume)
  })

  test('[P3] what follows the resumption is retained, whole, to the head', () => {
    fc.assert(
      fc.property(position, stream, (since, bounds) => {
        const resume = resumeAfter(since, gapSince(since, bounds))
        expect(resume).toBeGreaterThanOrEqual(bounds.oldest - 1)
        expect(resume).toBeLessThanOrEqual(bounds.head)
      }),
    )
  })

  test('[P3] a partial list is never presented as whole: gap and rest together are all of it', () => {
    fc.assert(
      fc.property(position, stream, (since, bounds) => {
        const gap = gapSince(since, bounds)
        const rest = range(resumeAfter(since, gap) + 1, bounds.head)
        const known = since.epoch === bounds.epoch && since.seq <= bounds.head
        const owed = range(known ? since.seq + 1 : 1, bounds.head)
        const missing = gap === null ? [] : range(gap.from ?? 1, gap.to ?? 0)
        expect([...missing, ...rest]).toEqual(owed)
        expect(gap === null).toBe(known && missing.length === 0)
      }),
    )
  })

  test('[P3] nothing that is retained is announced as missing', () => {
    fc.assert(
      fc.property(position, stream, (since, bounds) => {
        const gap = gapSince(since, bounds)
        if (gap === null) return
        expect(gap.epoch).toBe(bounds.epoch)
        expect(gap.to ?? 0).toBeLessThan(bounds.oldest)
        expect(gap.reason).toBe(
          since.epoch === bounds.epoch && since.seq <= bounds.head ? 'expired' : 'epoch_changed',
        )
      }),
    )
  })
})
