import { describe, expect, test } from 'vitest'
import { MAX_SHOWN, rowsOf, shownRange } from './rows.js'
import type { ChatMessage, Entry } from './entries.js'
import { EMPTY_TIMELINE, type Timeline } from './timeline.js'

const NOON = new Date(2026, 10, 24, 12).getTime()
const DAY_MS = 86_400_000

function message(key: string, over: Partial<ChatMessage> = {}): ChatMessage {
  return {
    kind: 'message',
    key,
    from: 'ada',
    name: 'Ada',
    text: key,
    at: NOON,
    own: false,
    place: { epoch: 'one', seq: 1 },
    seen: true,
    delivery: null,
    ...over,
  }
}

const timelineOf = (...entries: Entry[]): Timeline => ({
  ...EMPTY_TIMELINE,
  entries,
  epochs: ['one'],
})

function shape(timeline: Timeline, unreadKey: string | null = null): string[] {
  const range = shownRange(timeline.entries, { endKey: null })
  return rowsOf(timeline, range, unreadKey).map((row) =>
    row.kind === 'message' ? `${row.first ? '[' : ' '}${row.key}${row.last ? ']' : ' '}` : row.kind,
  )
}

describe('rows', () => {
  test('one writer`s messages within five minutes are one group', () => {
    const timeline = timelineOf(
      message('a'),
      message('b', { at: NOON + 60_000 }),
      message('c', { at: NOON + 7 * 60_000 }),
      message('d', { at: NOON + 7 * 60_000, from: 'bob', name: 'Bob' }),
    )
    expect(shape(timeline)).toEqual(['day', '[a ', ' b]', '[c]', '[d]'])
  })

  test('a day, the place where one had left off and a notice end a group', () => {
    const notice = { kind: 'recovered', key: 'n', count: 1, lost: 0, twice: 0 } as const
    const timeline = timelineOf(
      message('a', { at: NOON - DAY_MS }),
      message('b'),
      message('c'),
      notice,
      message('d'),
    )
    expect(shape(timeline, 'c')).toEqual([
      'day',
      '[a]',
      'day',
      '[b]',
      'unread',
      '[c]',
      'recovered',
      '[d]',
    ])
  })

  test('messages of an earlier epoch are old', () => {
    const timeline = {
      ...timelineOf(message('a'), message('b', { place: { epoch: 'two', seq: 1 } })),
      epochs: ['one', 'two'],
    }
    const rows = rowsOf(timeline, { start: 0, end: 2 }, null)
    expect(rows.filter((row) => row.kind === 'message').map(({ old }) => old)).toEqual([
      true,
      false,
    ])
  })
})

describe('the shown part', () => {
  const entries = Array.from({ length: MAX_SHOWN + 300 }, (_, index) => message(`m${index}`))

  test('follows the newest, and is never more than the document may hold', () => {
    expect(shownRange(entries, { endKey: null })).toEqual({ start: 300, end: MAX_SHOWN + 300 })
  })

  test('ends where the reader is', () => {
    expect(shownRange(entries, { endKey: 'm599' })).toEqual({ start: 100, end: 600 })
    expect(shownRange(entries, { endKey: 'm9' })).toEqual({ start: 0, end: 10 })
  })

  test('follows the newest again where its last entry has gone', () => {
    expect(shownRange(entries, { endKey: 'gone' })).toEqual({ start: 300, end: MAX_SHOWN + 300 })
  })
})
