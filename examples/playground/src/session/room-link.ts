import type { RealtimeClient, ReceivedMessage, Subscription } from '@bmt-central/realtime'
import type { EventMessage } from '@bmt-central/realtime-protocol'
import { chatTopic, typingTopic } from '../chat/rooms.js'
import type { ChatPayload } from '../chat/entries.js'
import {
  EMPTY_TIMELINE,
  earliestOf,
  gapped,
  live,
  merged,
  received,
  recovered,
  type Timeline,
} from '../chat/timeline.js'
import { heard } from '../chat/typing.js'
import {
  entered,
  withReceived,
  withRecovery,
  withRoom,
  type AppState,
  type RoomView,
} from '../state.js'
import { isBoolean, isRecord, isString } from '../storage.js'
import type { Store } from '../store.js'
import { failureOf } from './failure.js'

/** As many messages come on entry, and each time one scrolls to the top. */
const PAGE = 50

export interface RoomLinkParts {
  readonly client: RealtimeClient
  readonly store: Store<AppState>
  /** ms since the Unix epoch. */
  readonly now: () => number
  /** A message of somebody else came in live. */
  readonly onArrival: (room: string, message: EventMessage<ChatPayload>) => void
}

/** One room's two subscriptions, what they bring into the state, and its history. */
export class RoomLink {
  readonly room: string
  readonly chat: Subscription
  readonly typing: Subscription
  readonly #parts: RoomLinkParts
  /** The timeline as it was when the line broke; null while live. */
  #before: Timeline | null = null
  #isLive = false

  constructor(room: string, parts: RoomLinkParts) {
    this.room = room
    this.#parts = parts
    const { client } = parts
    this.chat = client.subscribe(chatTopic(room), (message) => this.#onMessage(message), {
      rewind: PAGE,
    })
    this.chat.on('gap', (gap) => {
      this.#change((view) => ({ ...view, timeline: gapped(view.timeline, gap) }))
      parts.store.update((state) =>
        withRecovery(state, { kind: 'gap', at: parts.now(), room, gap }),
      )
    })
    this.chat.on('subscribed', (event) => this.#onLive(event))
    this.chat.on('state', (state) => {
      if (state !== 'subscribing') return
      this.#before ??= this.#timeline()
      this.#isLive = false
    })
    this.chat.on('error', (error) => {
      if (this.chat.state !== 'failed') return
      this.#change((view) => ({ ...view, phase: 'failed', failure: failureOf(error) }))
    })
    this.typing = client.subscribe(typingTopic(room), (message) => this.#onTyping(message))
  }

  /** Earlier messages, one page of them. */
  async loadEarlier(): Promise<void> {
    const view = this.#view()
    const before = view === undefined ? null : earliestOf(view.timeline)
    if (view === undefined || view.earlier === 'loading' || view.earlier === 'none') return
    if (before === null) {
      this.#change((room) => ({ ...room, earlier: 'none' }))
      return
    }
    this.#change((room) => ({ ...room, earlier: 'loading', earlierFailure: null }))
    try {
      const topic = chatTopic(this.room)
      const page = await this.#parts.client.history(topic, { before, limit: PAGE })
      this.#merge(page.messages, { earlier: page.more ? 'maybe' : 'none', earlierFailure: null })
    } catch (error) {
      const earlierFailure = failureOf(error)
      this.#change((room) => ({ ...room, earlier: 'failed', earlierFailure }))
    }
  }

  /** Forgets what is shown, but what is not acknowledged, and takes what the server has. */
  async reload(): Promise<void> {
    try {
      const page = await this.#parts.client.history(chatTopic(this.room), { limit: PAGE })
      this.#change((room) => ({ ...room, timeline: unsettledOf(room.timeline) }))
      this.#merge(page.messages, { earlier: page.more ? 'maybe' : 'none', earlierFailure: null })
    } catch (error) {
      const earlierFailure = failureOf(error)
      this.#change((room) => ({ ...room, earlier: 'failed', earlierFailure }))
    }
  }

  #merge(
    messages: readonly EventMessage[],
    rest: Pick<RoomView, 'earlier' | 'earlierFailure'>,
  ): void {
    const { userId } = this.#parts.store.get().person
    this.#change((view) => ({
      ...view,
      ...rest,
      timeline: merged(view.timeline, messages.map(chatEventOf), userId),
    }))
  }

  #onMessage(message: ReceivedMessage): void {
    const event = chatEventOf(message)
    const { store } = this.#parts
    if (this.#isLive) {
      store.update((state) => withReceived(state, this.room, event))
      if (event.from !== store.get().person.userId) this.#parts.onArrival(this.room, event)
      return
    }
    const own = event.from === store.get().person.userId
    // The first page is what was there before; what a recovery brings is new.
    if (this.#before === null) {
      this.#change((view) => ({ ...view, timeline: received(view.timeline, event, own) }))
    } else {
      store.update((state) => withReceived(state, this.room, event))
    }
  }

  #onLive(event: { recovered: boolean; position: ReceivedPosition; replayed: number }): void {
    const before = this.#before
    this.#before = null
    this.#isLive = true
    const { store } = this.#parts
    this.#change((view) => ({ ...view, timeline: live(view.timeline, event.position) }))
    if (before === null) {
      this.#change((view) => {
        const earlier = event.replayed < PAGE ? ('none' as const) : ('maybe' as const)
        return { ...entered(view), earlier }
      })
    } else if (event.recovered && event.replayed > 0) {
      const count = event.replayed
      this.#change((view) => ({ ...view, timeline: recovered(view.timeline, count, before) }))
      store.update((state) =>
        withRecovery(state, { kind: 'recovered', at: this.#parts.now(), room: this.room, count }),
      )
    }
  }

  #onTyping(message: ReceivedMessage): void {
    const { from, payload } = message
    if (from === null || from === this.#parts.store.get().person.userId) return
    if (!isRecord(payload) || !isString(payload['name']) || !isBoolean(payload['typing'])) return
    const event = { userId: from, name: payload['name'], typing: payload['typing'] }
    this.#change((view) => ({ ...view, typists: heard(view.typists, event, this.#parts.now()) }))
  }

  #view(): RoomView | undefined {
    return this.#parts.store.get().rooms.find(({ room }) => room === this.room)
  }

  #timeline(): Timeline {
    return this.#view()?.timeline ?? EMPTY_TIMELINE
  }

  #change(change: (room: RoomView) => RoomView): void {
    this.#parts.store.update((state) => withRoom(state, this.room, change))
  }
}

type ReceivedPosition = NonNullable<Subscription['position']>

/** Nothing that the server sequenced is dropped, whatever it holds: it would look like a loss. */
function chatEventOf(message: EventMessage): EventMessage<ChatPayload> {
  const fields = isRecord(message.payload) ? message.payload : {}
  const { text, name } = fields
  return {
    ...message,
    payload: { text: isString(text) ? text : '', name: isString(name) ? name : '' },
  }
}

function unsettledOf(timeline: Timeline): Timeline {
  return {
    ...EMPTY_TIMELINE,
    entries: timeline.entries.filter(
      (entry) => entry.kind === 'message' && entry.own && entry.place === null,
    ),
    epochs: timeline.epochs.slice(-1),
    last: timeline.last,
    notices: timeline.notices,
  }
}
