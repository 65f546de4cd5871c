import type {
  ClientStats,
  EventMessage,
  Gap,
  Position,
  ServerStats,
} from '@bmt-central/realtime-protocol'
import type { Typist } from './chat/typing.js'
import type { ChatPayload } from './chat/entries.js'
import { EMPTY_TIMELINE, received, unplacedLast, type Timeline } from './chat/timeline.js'
import { newestPlace, unreadOf } from './chat/unread.js'
import type { Person } from './person.js'

/** An error in words that a person can use. */
export interface Failure {
  readonly code: string
  readonly message: string
}

export interface ConnectionView {
  readonly status: ClientStats['status']
  /** The attempt that failed last or is under way; 0 while connected. */
  readonly attempt: number
  /** ms since the Unix epoch; null where no attempt is planned. */
  readonly retryAt: number | null
  readonly failure: Failure | null
  /** Whether there was a connection before: then what is shown has come from somewhere. */
  readonly wasConnected: boolean
}

export interface RoomView {
  readonly room: string
  readonly timeline: Timeline
  readonly phase: 'loading' | 'ready' | 'failed'
  readonly failure: Failure | null
  /** The newest message that was looked at; null before anything was. */
  readonly readUpTo: Position | null
  /** Before this message one had left off. */
  readonly unreadKey: string | null
  readonly earlier: 'maybe' | 'loading' | 'none' | 'failed'
  readonly earlierFailure: Failure | null
  readonly typists: readonly Typist[]
}

export interface OutboxItem {
  readonly id: string
  readonly topic: string
  readonly state: 'queued' | 'sent'
}

/** What a reconnection brought to one room. */
export type Recovery =
  | {
      readonly kind: 'recovered'
      readonly at: number
      readonly room: string
      readonly count: number
    }
  | { readonly kind: 'gap'; readonly at: number; readonly room: string; readonly gap: Gap }

export interface TopicView {
  readonly topic: string
  readonly state: 'subscribing' | 'subscribed' | 'unsubscribed' | 'failed'
  readonly position: Position | null
}

/** What `system:metrics` brings each second. */
export interface Metrics {
  readonly stats: ServerStats
  readonly cpu: number
  readonly memoryBytes: number
  readonly delayMs: number
}

export interface AppState {
  readonly person: Person
  readonly rooms: readonly RoomView[]
  readonly active: string
  readonly connection: ConnectionView
  readonly outbox: readonly OutboxItem[]
  readonly recoveries: readonly Recovery[]
  readonly client: ClientStats | null
  readonly topics: readonly TopicView[]
  readonly metrics: { readonly at: number; readonly value: Metrics } | null
  /** ms since the Unix epoch at which the line mends itself; null while it is whole. */
  readonly cutUntil: number | null
  /** null: not known yet. */
  readonly canKill: boolean | null
  /** Whether the server's messages survive its end. */
  readonly durable: boolean
  readonly kill: { readonly state: 'idle' | 'asked' | 'failed'; readonly reason: string }
  /** Whether somebody looks at the newest message of the active room. */
  readonly looking: boolean
  readonly inspectorOpen: boolean
  /** On a phone: what lies over the chat. */
  readonly sheet: 'rooms' | 'inspector' | null
}

const MAX_RECOVERIES = 10

export function newRoom(room: string, readUpTo: Position | null): RoomView {
  return {
    room,
    timeline: EMPTY_TIMELINE,
    phase: 'loading',
    failure: null,
    readUpTo,
    unreadKey: null,
    earlier: 'maybe',
    earlierFailure: null,
    typists: [],
  }
}

export function activeRoom(state: AppState): RoomView {
  const room = state.rooms.find(({ room: name }) => name === state.active) ?? state.rooms[0]
  if (room === undefined) throw new Error('there is always a room')
  return room
}

export function withRoom(
  state: AppState,
  name: string,
  change: (room: RoomView) => RoomView,
): AppState {
  return {
    ...state,
    rooms: state.rooms.map((room) => (room.room === name ? change(room) : room)),
  }
}

/** A message came in: it is read where somebody looks, else a line marks where one had left off. */
export function withReceived(
  state: AppState,
  name: string,
  event: EventMessage<ChatPayload>,
): AppState {
  return withRoom(state, name, (room) => {
    const own = event.from === state.person.userId
    const next = { ...room, timeline: received(room.timeline, event, own) }
    if (state.looking && state.active === name) return looked(next)
    const isFirstUnread = !own && unreadOf(room.timeline, room.readUpTo).length === 0
    return isFirstUnread && room.readUpTo !== null ? { ...next, unreadKey: event.id } : next
  })
}

/** Everything in the room has been seen now. The line stays until one leaves or writes. */
export function looked(room: RoomView): RoomView {
  return { ...room, readUpTo: newestPlace(room.timeline) ?? room.readUpTo }
}

/** The room's messages have come for the first time: what is new since an earlier visit is marked. */
export function entered(room: RoomView): RoomView {
  const timeline = unplacedLast(room.timeline)
  const ready: RoomView = { ...room, timeline, phase: 'ready', failure: null }
  if (room.readUpTo === null) return looked(ready)
  return { ...ready, unreadKey: unreadOf(room.timeline, room.readUpTo)[0]?.key ?? null }
}

export function withLooking(state: AppState, looking: boolean): AppState {
  const next = looking === state.looking ? state : { ...state, looking }
  return looking ? withRoom(next, next.active, looked) : next
}

/** Opens a room; the line of the one that is left goes with it. */
export function withActive(state: AppState, name: string): AppState {
  if (name === state.active) return state
  const left = withRoom(state, state.active, (room) => ({ ...room, unreadKey: null }))
  return { ...left, active: name, looking: false }
}

export function withRecovery(state: AppState, recovery: Recovery): AppState {
  return { ...state, recoveries: [recovery, ...state.recoveries].slice(0, MAX_RECOVERIES) }
}

/** The outbox after one of its publishes changed; what has settled leaves it. */
export function withOutbox(
  state: AppState,
  change: { id: string; topic: string; state: 'queued' | 'sent' | 'acknowledged' | 'failed' },
): AppState {
  const { id, topic } = change
  const others = state.outbox.filter((item) => item.id !== id)
  if (change.state === 'acknowledged' || change.state === 'failed') {
    return { ...state, outbox: others }
  }
  const item: OutboxItem = { id, topic, state: change.state }
  const known = state.outbox.some((candidate) => candidate.id === id)
  return {
    ...state,
    outbox: known
      ? state.outbox.map((candidate) => (candidate.id === id ? item : candidate))
      : [...state.outbox, item],
  }
}
