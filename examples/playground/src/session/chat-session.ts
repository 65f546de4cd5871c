import { RealtimeClient, type ConnectionEvent } from '@bmt-central/realtime'
import type { EventMessage } from '@bmt-central/realtime-protocol'
import { isPendingList } from '../chat/pending.js'
import { MAX_ROOMS, typingTopic } from '../chat/rooms.js'
import type { ChatPayload } from '../chat/entries.js'
import { stillTyping, TYPING_REPEAT_MS } from '../chat/typing.js'
import { PerPerson } from '../per-person.js'
import { keepPerson } from '../person.js'
import {
  newRoom,
  withActive,
  withLooking,
  type AppState,
  type Metrics,
  type TopicView,
} from '../state.js'
import { isRecord, type JsonStorage } from '../storage.js'
import type { Store } from '../store.js'
import { Controls } from './controls.js'
import { failureOf } from './failure.js'
import type { Line } from './line.js'
import { Outgoing } from './outgoing.js'
import { RoomLink } from './room-link.js'

export interface ChatSessionParts {
  readonly url: string
  readonly store: Store<AppState>
  /** Shared by all windows. */
  readonly local: JsonStorage
  /** Of this window. */
  readonly session: JsonStorage
  readonly line: Line
  readonly onArrival: (room: string, message: EventMessage<ChatPayload>) => void
}

const METRICS_TOPIC = 'system:metrics'
const REFRESH_MS = 500

/** Everything between the page and the server: one client, the rooms' links, what is on its way. */
export class ChatSession {
  readonly controls: Controls
  readonly outgoing: Outgoing
  readonly #client: RealtimeClient
  readonly #links = new Map<string, RoomLink>()
  readonly #parts: ChatSessionParts
  #typedAt = 0
  #keptRead = ''

  constructor(parts: ChatSessionParts) {
    this.#parts = parts
    const { store, line } = parts
    const { userId } = store.get().person
    this.#client = new RealtimeClient({
      url: parts.url,
      auth: `dev:${userId}`,
      // What the page cuts is a WebSocket: with polling as a way around it nothing would be cut.
      transports: ['websocket'],
    })
    this.controls = new Controls({ store, line, now, connectNow: () => this.connectNow() })
    this.outgoing = new Outgoing({
      client: this.#client,
      store,
      kept: new PerPerson(parts.local, { key: 'pending', userId, accept: isPendingList }),
      now,
      newId,
    })
    this.#client.onConnection((event) => this.#onConnection(event))
  }

  start(): void {
    for (const { room } of this.#parts.store.get().rooms) this.#open(room)
    this.#client.subscribe(METRICS_TOPIC, ({ payload }) => {
      // The server that sends figures each second is alive again.
      if (isRecord(payload) && isRecord(payload['stats'])) {
        const value = payload as unknown as Metrics
        this.#parts.store.update((state) => ({ ...state, metrics: { at: now(), value } }))
      }
    })
    this.outgoing.revive()
    this.connectNow()
    this.#refresh()
    window.setInterval(() => this.#refresh(), REFRESH_MS)
    void this.controls.askWhetherServerCanBeKilled()
  }

  connectNow(): void {
    // Failures are told by `onConnection`, with what comes next.
    this.#client.connect().catch(() => undefined)
  }

  /** Opens a room; false where it would be one too many. */
  selectRoom(room: string): boolean {
    const { store, session } = this.#parts
    if (!store.get().rooms.some((view) => view.room === room) && !this.#add(room)) return false
    store.update((state) => withActive(state, room))
    session.write('room', room)
    return true
  }

  loadEarlier(): void {
    void this.#links.get(this.#parts.store.get().active)?.loadEarlier()
  }

  reloadRoom(): void {
    void this.#links.get(this.#parts.store.get().active)?.reload()
  }

  rename(name: string): void {
    const { store, session } = this.#parts
    store.update((state) => ({ ...state, person: { ...state.person, name } }))
    keepPerson(session, store.get().person)
  }

  /** Called at each stroke; others are told from time to time. */
  typing(isTyping: boolean): void {
    const at = now()
    if (isTyping ? at - this.#typedAt < TYPING_REPEAT_MS : this.#typedAt === 0) return
    const { active, person, connection } = this.#parts.store.get()
    // While offline nobody needs to know, and later it is not true any more.
    if (connection.status !== 'connected') return
    this.#typedAt = isTyping ? at : 0
    const payload = { name: person.name, typing: isTyping }
    this.#client
      .publish(typingTopic(active), payload, { queue: false })
      // It was worth a try: typing is told again with one of the next strokes.
      .catch(() => undefined)
  }

  looking(isLooking: boolean): void {
    this.#parts.store.update((state) => withLooking(state, isLooking))
  }

  #add(room: string): boolean {
    const { store, session } = this.#parts
    if (store.get().rooms.length >= MAX_ROOMS) return false
    store.update((state) => ({ ...state, rooms: [...state.rooms, newRoom(room, null)] }))
    session.write(
      'rooms',
      store.get().rooms.map((view) => view.room),
    )
    this.#open(room)
    return true
  }

  #open(room: string): void {
    const { store, onArrival } = this.#parts
    this.#links.set(room, new RoomLink(room, { client: this.#client, store, now, onArrival }))
  }

  #onConnection(event: ConnectionEvent): void {
    const { store } = this.#parts
    const { status, attempt, retryInMs, error } = event
    store.update((state) => ({
      ...state,
      connection: {
        status,
        attempt: status === 'connected' ? 0 : (attempt ?? 0),
        retryAt: retryInMs === undefined ? null : now() + retryInMs,
        failure: error === undefined ? null : failureOf(error),
        wasConnected: state.connection.wasConnected || status === 'connected',
      },
    }))
    if (status === 'connected') this.controls.serverIsBack()
  }

  /** What has no event of its own: figures, positions, and who has stopped typing. */
  #refresh(): void {
    const { store } = this.#parts
    store.update((state) => ({
      ...state,
      rooms: state.rooms.map((view) => {
        const typists = stillTyping(view.typists, now())
        return typists === view.typists ? view : { ...view, typists }
      }),
      client: this.#client.getStats(),
      topics: this.#topics(),
    }))
    this.#keepRead()
    // What a message from the past has settled is not waiting any more.
    this.outgoing.keep()
  }

  /** Up to where each room was read, so that a reload knows where one had left off. */
  #keepRead(): void {
    const { store, session } = this.#parts
    const places = store.get().rooms.map(({ room, readUpTo }) => [room, readUpTo] as const)
    const read = Object.fromEntries(places.filter(([, place]) => place !== null))
    const text = JSON.stringify(read)
    if (text === this.#keptRead) return
    this.#keptRead = text
    session.write('read', read)
  }

  #topics(): TopicView[] {
    return [...this.#links.values()].flatMap(({ chat, typing }) =>
      [chat, typing].map(({ topic, state, position }) => ({ topic, state, position })),
    )
  }
}

function now(): number {
  return Date.now()
}

function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
