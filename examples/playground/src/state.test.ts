import type { EventMessage } from '@bmt-central/realtime-protocol'
import { describe, expect, test } from 'vitest'
import { isPendingList, pendingOf, revived } from './chat/pending.js'
import type { ChatPayload } from './chat/entries.js'
import { written } from './chat/timeline.js'
import { unreadOf } from './chat/unread.js'
import {
  activeRoom,
  entered,
  newRoom,
  withActive,
  withLooking,
  withOutbox,
  withReceived,
  withRoom,
  type AppState,
} from './state.js'

function stateOf(...rooms: string[]): AppState {
  return {
    person: { userId: 'me', name: 'Me' },
    rooms: rooms.map((room) => newRoom(room, { epoch: 'one', seq: 0 })),
    active: rooms[0] ?? '',
    connection: {
      status: 'connected',
      attempt: 0,
      retryAt: null,
      failure: null,
      wasConnected: true,
    },
    outbox: [],
    recoveries: [],
    client: null,
    topics: [],
    metrics: null,
    cutUntil: null,
    canKill: true,
    durable: true,
    kill: { state: 'idle', reason: '' },
    looking: true,
    inspectorOpen: true,
    sheet: null,
  }
}

function event(seq: number, from: string = 'ada'): EventMessage<ChatPayload> {
  return {
    type: 'event',
    topic: 'chat-room-a',
    id: `m${seq}`,
    seq,
    epoch: 'one',
    payload: { text: 'hello', name: 'Ada' },
    timestamp: seq,
    from,
  }
}

const unread = (state: AppState, name: string): number => {
  const room = state.rooms.find((view) => view.room === name)
  return room === undefined ? -1 : unreadOf(room.timeline, room.readUpTo).length
}

describe('where one had left off', () => {
  test('what comes before one`s eyes is read; what comes elsewhere is counted', () => {
    let state = stateOf('a', 'b')
    state = withReceived(state, 'a', event(1))
    state = withReceived(state, 'b', event(1))
    state = withReceived(state, 'b', event(2))
    expect([unread(state, 'a'), unread(state, 'b')]).toEqual([0, 2])
  })

  test('the line stands before the first message that came while one looked away', () => {
    let state = withLooking(stateOf('a'), false)
    state = withReceived(state, 'a', event(1, 'me'))
    state = withReceived(state, 'a', event(2))
    state = withReceived(state, 'a', event(3))
    expect(activeRoom(state).unreadKey).toBe('m2')
    state = withLooking(state, true)
    expect(activeRoom(state).unreadKey).toBe('m2')
    expect(unread(state, 'a')).toBe(0)
  })

  test('leaving a room takes its line away', () => {
    let state = withReceived(withLooking(stateOf('a', 'b'), false), 'a', event(1))
    state = withActive(withActive(state, 'b'), 'a')
    expect(activeRoom(state).unreadKey).toBeNull()
  })

  test('a reload marks what is new since; a first visit marks nothing', () => {
    const messages = [event(1), event(2)]
    const fill = (state: AppState): AppState =>
      messages.reduce((result, message) => withReceived(result, 'a', message), state)
    const again = withRoom(withLooking(stateOf('a'), false), 'a', (room) => ({
      ...room,
      readUpTo: { epoch: 'one', seq: 1 },
    }))
    const first = withRoom(again, 'a', (room) => ({ ...room, readUpTo: null }))
    expect(entered(activeRoom(fill(again))).unreadKey).toBe('m2')
    expect(entered(activeRoom(fill(first)))).toMatchObject({
      unreadKey: null,
      readUpTo: { seq: 2 },
    })
  })

  test('after a restart all is new: the position read is of a stream that is gone', () => {
    const state = withRoom(withLooking(stateOf('a'), false), 'a', (room) => ({
      ...room,
      readUpTo: { epoch: 'before', seq: 90 },
    }))
    expect(unread(withReceived(state, 'a', event(1)), 'a')).toBe(1)
  })
})

describe('the outbox', () => {
  test('keeps the order of calls, and lets go of what has settled', () => {
    const topic = 'chat-room-a'
    let state = stateOf('a')
    state = withOutbox(state, { id: '1', topic, state: 'queued' })
    state = withOutbox(state, { id: '2', topic, state: 'queued' })
    state = withOutbox(state, { id: '1', topic, state: 'sent' })
    expect(state.outbox.map(({ id, state: step }) => `${id} ${step}`)).toEqual([
      '1 sent',
      '2 queued',
    ])
    state = withOutbox(state, { id: '1', topic, state: 'acknowledged' })
    state = withOutbox(state, { id: '2', topic, state: 'failed' })
    expect(state.outbox).toEqual([])
  })
})

describe('what a reload would lose', () => {
  const pending = { room: 'a', id: 'x', name: 'Me', text: 'not yet', at: 5 }

  test('is what is not acknowledged, and comes back as not known', () => {
    const message = revived(pending, 'me')
    expect(message.delivery).toMatchObject({ state: 'failed', failure: { unknown: true } })
    const state = withRoom(withReceived(stateOf('a'), 'a', event(1)), 'a', (room) => ({
      ...room,
      timeline: written(room.timeline, message),
    }))
    expect(pendingOf(state)).toEqual([pending])
  })

  test('stands below what is in the stream once that has come', () => {
    const state = withRoom(stateOf('a'), 'a', (room) => ({
      ...room,
      timeline: written(room.timeline, revived(pending, 'me')),
    }))
    const { timeline } = entered(activeRoom(withReceived(state, 'a', event(1))))
    expect(timeline.entries.map(({ key }) => key)).toEqual(['m1', 'x'])
  })

  test('of another version is left alone', () => {
    expect(isPendingList([pending])).toBe(true)
    expect(isPendingList([{ ...pending, at: 'x' }])).toBe(false)
    expect(isPendingList({})).toBe(false)
  })
})
