import type { EventMessage } from '@bmt-central/realtime-protocol'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ChatMessage, ChatPayload } from './entries.js'
import {
  delivered,
  earliestOf,
  EMPTY_TIMELINE,
  gapped,
  isOld,
  live,
  MAX_ENTRIES,
  merged,
  received,
  recovered,
  removed,
  written,
  type Timeline,
} from './timeline.js'

function event(
  seq: number,
  over: Partial<EventMessage<ChatPayload>> = {},
): EventMessage<ChatPayload> {
  const epoch = over.epoch ?? 'one'
  return {
    type: 'event',
    topic: 'chat-room-welcome',
    id: `${epoch}-${seq}`,
    seq,
    epoch,
    payload: { text: `text ${seq}`, name: 'Ada' },
    timestamp: seq * 1_000,
    from: 'ada',
    ...over,
  }
}

function own(key: string, over: Partial<ChatMessage> = {}): ChatMessage {
  return {
    kind: 'message',
    key,
    from: 'me',
    name: 'Me',
    text: key,
    at: 0,
    own: true,
    place: null,
    seen: false,
    delivery: { state: 'queued' },
    ...over,
  }
}

const FAILED = {
  state: 'failed',
  failure: { code: 'timeout', message: '', unknown: true, retryable: true },
} as const

const keys = ({ entries }: Timeline): string[] => entries.map(({ key }) => key)
const receiveAll = (timeline: Timeline, seqs: readonly number[]): Timeline =>
  seqs.reduce((result, seq) => received(result, event(seq), false), timeline)

describe('one message of one`s own', () => {
  test('moves to its place when it is acknowledged, before and after its own arrival', () => {
    let timeline = written(receiveAll(EMPTY_TIMELINE, [1]), own('a'))
    timeline = delivered(timeline, 'a', { state: 'sent' })
    timeline = delivered(
      timeline,
      'a',
      { state: 'acknowledged', deliveredTo: 2 },
      {
        epoch: 'one',
        seq: 3,
      },
    )
    timeline = received(timeline, event(2), false)
    timeline = received(timeline, event(3, { id: 'a', from: 'me' }), true)
    expect(keys(timeline)).toEqual(['one-1', 'one-2', 'a'])
    expect(timeline.entries.at(-1)).toMatchObject({
      own: true,
      delivery: { state: 'acknowledged', deliveredTo: 2 },
    })
    expect(timeline).toMatchObject({ lost: 0, twice: 0 })
  })

  test('that arrives before its acknowledgement waits for what that says', () => {
    let timeline = written(EMPTY_TIMELINE, own('a', { delivery: { state: 'sent' } }))
    timeline = received(timeline, event(1, { id: 'a', from: 'me' }), true)
    expect(timeline.entries).toMatchObject([{ delivery: { state: 'sent' }, place: { seq: 1 } }])
    const place = { epoch: 'one', seq: 1 }
    timeline = delivered(timeline, 'a', { state: 'acknowledged', deliveredTo: 4 }, place)
    expect(timeline.entries).toMatchObject([{ delivery: { deliveredTo: 4 } }])
  })

  test('whose outcome was unknown is settled by its arrival, and no late failure undoes that', () => {
    let timeline = written(EMPTY_TIMELINE, own('a', { delivery: FAILED }))
    timeline = received(timeline, event(1, { id: 'a', from: 'me' }), true)
    const settled = { state: 'acknowledged', deliveredTo: null }
    expect(timeline.entries).toMatchObject([{ delivery: settled }])
    timeline = delivered(timeline, 'a', FAILED)
    expect(timeline.entries).toMatchObject([{ delivery: settled }])
  })

  test('that waits stays below what comes in; one that failed stays where it was', () => {
    let timeline = receiveAll(EMPTY_TIMELINE, [1])
    timeline = written(timeline, own('failed', { delivery: FAILED }))
    timeline = written(timeline, own('waiting'))
    timeline = receiveAll(timeline, [2, 3])
    expect(keys(timeline)).toEqual(['one-1', 'failed', 'one-2', 'one-3', 'waiting'])
    expect(keys(removed(timeline, 'failed'))).toEqual(['one-1', 'one-2', 'one-3', 'waiting'])
  })
})

describe('what is missing', () => {
  test('a recovery leaves a line with what our own count says', () => {
    const before = receiveAll(EMPTY_TIMELINE, [1, 2])
    const timeline = recovered(receiveAll(before, [3, 4, 5]), 3, before)
    expect(timeline.entries.at(-1)).toMatchObject({
      kind: 'recovered',
      count: 3,
      lost: 0,
      twice: 0,
    })
  })

  test('a hole or a double that nobody announced is counted, not hidden', () => {
    const before = receiveAll(EMPTY_TIMELINE, [1])
    const timeline = recovered(receiveAll(before, [1, 4]), 2, before)
    expect(timeline.entries.at(-1)).toMatchObject({ lost: 2, twice: 1 })
    expect(keys(timeline).slice(0, 2)).toEqual(['one-1', 'one-4'])
  })

  test('an expired gap stands before what follows it, and is no loss of ours', () => {
    let timeline = receiveAll(EMPTY_TIMELINE, [1])
    timeline = gapped(timeline, { from: 2, to: 9, epoch: 'one', reason: 'expired' })
    timeline = receiveAll(timeline, [10])
    expect(timeline.entries.map((entry) => entry.kind)).toEqual(['message', 'gap', 'message'])
    expect(timeline.lost).toBe(0)
  })

  test('after a restart the old stays, is known as old, and the new follows', () => {
    let timeline = written(receiveAll(EMPTY_TIMELINE, [1, 2]), own('waiting'))
    timeline = gapped(timeline, { from: null, to: null, epoch: 'two', reason: 'epoch_changed' })
    timeline = live(timeline, { epoch: 'two', seq: 0 })
    timeline = received(timeline, event(1, { epoch: 'two' }), false)
    expect(keys(timeline)).toEqual(['one-1', 'one-2', 'notice-0', 'two-1', 'waiting'])
    const old = timeline.entries.map((entry) => entry.kind === 'message' && isOld(timeline, entry))
    expect(old).toEqual([true, true, false, false, false])
    expect(earliestOf(timeline)).toEqual({ epoch: 'two', seq: 1 })
    expect(timeline.lost).toBe(0)
  })
})

test('earlier messages go before what is shown of their epoch, each once', () => {
  let timeline = receiveAll(EMPTY_TIMELINE, [1])
  timeline = gapped(timeline, { from: null, to: null, epoch: 'two', reason: 'epoch_changed' })
  timeline = received(timeline, event(5, { epoch: 'two' }), false)
  const page = [3, 4, 5].map((seq) => event(seq, { epoch: 'two' }))
  timeline = merged(merged(timeline, page, 'me'), page, 'me')
  expect(keys(timeline)).toEqual(['one-1', 'notice-0', 'two-3', 'two-4', 'two-5'])
  expect(timeline.twice).toBe(0)
})

test('what the past brings of one`s own is shown as such', () => {
  const timeline = merged(EMPTY_TIMELINE, [event(1, { from: 'me' })], 'me')
  expect(timeline.entries).toMatchObject([
    { own: true, delivery: { state: 'acknowledged', deliveredTo: null } },
  ])
})

test('memory is bounded: the oldest go, what is on its way stays', () => {
  let timeline = written(EMPTY_TIMELINE, own('waiting'))
  const events = Array.from({ length: MAX_ENTRIES + 5 }, (_, index) => event(index + 1))
  timeline = merged(timeline, events, 'me')
  expect(timeline.entries).toHaveLength(MAX_ENTRIES)
  expect(keys(timeline).at(-1)).toBe('waiting')
  expect(keys(timeline)[0]).toBe('one-7')
  expect(timeline.trimmed).toBe(true)
})

test('[P1] however pages of the past and live messages meet, the list is in order, each once', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('live' as const), seq: fc.integer({ min: 1, max: 30 }) }),
    fc.record({
      kind: fc.constant('page' as const),
      seq: fc.integer({ min: 1, max: 26 }),
    }),
    fc.record({ kind: fc.constant('write' as const), seq: fc.integer({ min: 100, max: 120 }) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const timeline = steps.reduce<Timeline>((result, { kind, seq }) => {
        if (kind === 'live') return received(result, event(seq), false)
        if (kind === 'page') {
          return merged(
            result,
            [0, 1, 2, 3].map((add) => event(seq + add)),
            'me',
          )
        }
        return written(removed(result, `own-${seq}`), own(`own-${seq}`))
      }, EMPTY_TIMELINE)
      const places = timeline.entries.map((entry) =>
        entry.kind === 'message' ? (entry.place?.seq ?? Infinity) : -1,
      )
      expect(places).toEqual([...places].sort((a, b) => a - b))
      expect(new Set(keys(timeline)).size).toBe(timeline.entries.length)
    }),
  )
})
