import { describe, expect, test } from 'vitest'
import { Turn, type Flushable } from './turn.js'

/** What a turn may take at the most, with the last look at the clock (a slice is 8 ms). */
const LONGEST_TURN_MS = 20

/** The end of turns, with the clock and the event loop in the test's hand. */
function rig() {
  const scheduled: (() => void)[] = []
  const failures: unknown[] = []
  const done: string[] = []
  let nowMs = 0
  const turn = new Turn({
    nextTurn: (run) => {
      scheduled.push(run)
      return () => undefined
    },
    now: () => nowMs,
    failed: (error) => failures.push(error),
  })
  return {
    turn,
    failures,
    done,
    now: () => nowMs,
    scheduled: () => scheduled.length,
    /** Something whose flush takes so long. */
    work: (name: string, ms = 0): Flushable => ({
      flush: () => {
        nowMs += ms
        done.push(name)
      },
    }),
    /** One turn of the event loop; gives how long it took. */
    run: (): number => {
      const startedAt = nowMs
      for (const next of scheduled.splice(0)) next()
      return nowMs - startedAt
    },
  }
}

describe('Turn', () => {
  test('all that has something to write is flushed once, in order, at the end of the turn', () => {
    const { turn, work, run, done, scheduled } = rig()
    const [a, b] = [work('a'), work('b')]
    for (const one of [a, b, a]) turn.add(one)
    expect([done, scheduled(), turn.size]).toEqual([[], 1, 2])
    run()
    expect([done, scheduled(), turn.size]).toEqual([['a', 'b'], 0, 0])
    turn.add(a)
    run()
    expect(done).toEqual(['a', 'b', 'a'])
  })

  test('what is prepared comes before anything is flushed, once', () => {
    const { turn, work, run, done } = rig()
    const late = work('late')
    turn.add(work('a'))
    turn.before(() => {
      done.push('prepared')
      turn.add(late)
    })
    run()
    expect(done).toEqual(['prepared', 'a', 'late'])
    turn.add(work('b'))
    run()
    expect(done).toEqual(['prepared', 'a', 'late', 'b'])
  })

  test('what has something to write again has its turn again', () => {
    const { turn, run, done } = rig()
    const again: Flushable = {
      flush: () => {
        done.push('again')
        if (done.length < 3) turn.add(again)
      },
    }
    turn.add(again)
    run()
    expect(done).toEqual(['again', 'again', 'again'])
  })

  test('[P7] a long flush is cut into turns of a few ms, in order, and others have theirs between', () => {
    const { turn, work, run, done, scheduled } = rig()
    const names = Array.from({ length: 5_000 }, (_, index) => `c${index}`)
    // As 5,000 subscribers × 64 messages take: 17 KiB each.
    for (const name of names) turn.add(work(name, 0.03))
    const lengths: number[] = []
    while (scheduled() > 0) lengths.push(run())
    expect(Math.max(...lengths)).toBeLessThan(LONGEST_TURN_MS)
    expect(lengths.length).toBeGreaterThan(5)
    expect(done).toEqual(names)
  })

  test('[P7] even where each takes long, no more of them than between two looks at the clock', () => {
    const { turn, work, run, scheduled } = rig()
    for (let n = 0; n < 500; n += 1) turn.add(work('slow', 0.5))
    const lengths: number[] = []
    while (scheduled() > 0) lengths.push(run())
    expect(Math.max(...lengths)).toBeLessThan(LONGEST_TURN_MS)
  })

  test('[P7] what is added while others wait for their turn comes behind them', () => {
    const { turn, work, run, done, scheduled } = rig()
    for (let n = 0; n < 64; n += 1) turn.add(work('first', 1))
    run()
    expect(done).toHaveLength(32)
    turn.before(() => done.push('prepared'))
    turn.add(work('second'))
    while (scheduled() > 0) run()
    expect(done.slice(32)).toEqual([
      'prepared',
      ...Array.from({ length: 32 }, () => 'first'),
      'second',
    ])
  })

  test('[P7] what throws costs the others nothing, and is reported', () => {
    const { turn, work, run, done, failures } = rig()
    const broken = new Error('broken')
    turn.before(() => {
      throw broken
    })
    turn.add({
      flush: () => {
        throw broken
      },
    })
    turn.add(work('b'))
    run()
    expect([failures, done, turn.size]).toEqual([[broken, broken], ['b'], 0])
  })
})
