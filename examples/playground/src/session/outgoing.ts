import type { RealtimeClient } from '@bmt-central/realtime'
import { pendingOf, revived, type PendingMessage } from '../chat/pending.js'
import { chatTopic } from '../chat/rooms.js'
import type { ChatMessage, Delivery } from '../chat/entries.js'
import { delivered, findMessage, removed, written } from '../chat/timeline.js'
import type { PerPerson } from '../per-person.js'
import { withOutbox, withRoom, type AppState } from '../state.js'
import type { Store } from '../store.js'
import { deliveryFailureOf } from './failure.js'

export interface OutgoingParts {
  readonly client: RealtimeClient
  readonly store: Store<AppState>
  readonly kept: PerPerson<PendingMessage[]>
  readonly now: () => number
  /** A fresh message id. */
  readonly newId: () => string
}

/** The messages of one's own on their way: sent, followed, kept until they are acknowledged. */
export class Outgoing {
  readonly #parts: OutgoingParts
  #keptText: string | null = null

  constructor(parts: OutgoingParts) {
    this.#parts = parts
    const { client, store } = parts
    client.onOutbox(({ id, topic, state }) => {
      store.update((current) => withOutbox(current, { id, topic, state }))
      if (state === 'queued' || state === 'sent') this.#settle(topic, id, { state })
    })
  }

  /** Brings back what an earlier page of this person left unacknowledged. */
  revive(): void {
    const { store, kept } = this.#parts
    const { userId } = store.get().person
    for (const pending of kept.read() ?? []) {
      store.update((state) =>
        withRoom(state, pending.room, (room) => ({
          ...room,
          timeline: written(room.timeline, revived(pending, userId)),
        })),
      )
    }
  }

  send(room: string, text: string): void {
    const { store, now, newId } = this.#parts
    const { userId, name } = store.get().person
    this.#publish(room, {
      kind: 'message',
      key: newId(),
      from: userId,
      name,
      text,
      at: now(),
      own: true,
      place: null,
      seen: false,
      delivery: { state: 'queued' },
    })
  }

  /** Under the same id: where it did arrive, the server recognises it, and nobody gets it twice. */
  retry(room: string, id: string): void {
    const message = this.take(room, id)
    if (message === null) return
    this.#publish(room, { ...message, at: this.#parts.now(), delivery: { state: 'queued' } })
  }

  /** Takes a message back that was not delivered, so that it can be written anew. */
  take(room: string, id: string): ChatMessage | null {
    const { store } = this.#parts
    const view = store.get().rooms.find((candidate) => candidate.room === room)
    const message = view === undefined ? null : findMessage(view.timeline, id)
    if (message?.delivery?.state !== 'failed') return null
    store.update((state) =>
      withRoom(state, room, (current) => ({
        ...current,
        timeline: removed(current.timeline, id),
      })),
    )
    this.keep()
    return message
  }

  #publish(room: string, message: ChatMessage): void {
    const { client, store } = this.#parts
    store.update((state) =>
      withRoom(state, room, (view) => ({
        ...view,
        timeline: written(view.timeline, message),
        unreadKey: null,
      })),
    )
    this.keep()
    const { key: id, text, name } = message
    const topic = chatTopic(room)
    client.publish(topic, { text, name }, { id }).then(
      (ack) => {
        const place = { epoch: ack.epoch, seq: ack.seq }
        this.#settle(topic, id, { state: 'acknowledged', deliveredTo: ack.deliveredTo }, place)
        this.keep()
      },
      (error: unknown) => {
        this.#settle(topic, id, { state: 'failed', failure: deliveryFailureOf(error) })
        this.keep()
      },
    )
  }

  #settle(
    topic: string,
    id: string,
    delivery: Delivery,
    place?: { readonly epoch: string; readonly seq: number },
  ): void {
    this.#parts.store.update((state) => {
      const view = state.rooms.find(({ room }) => chatTopic(room) === topic)
      if (view === undefined) return state
      return withRoom(state, view.room, (room) => ({
        ...room,
        timeline: delivered(room.timeline, id, delivery, place),
      }))
    })
  }

  /** Writes down what would be lost with the page, where that has changed. */
  keep(): void {
    const pending = pendingOf(this.#parts.store.get())
    const text = JSON.stringify(pending)
    if (text === this.#keptText) return
    this.#keptText = text
    this.#parts.kept.write(pending.length === 0 ? null : pending)
  }
}
