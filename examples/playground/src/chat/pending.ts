import type { AppState } from '../state.js'
import { isRecord, isString } from '../storage.js'
import type { ChatMessage } from './entries.js'

/** A message of one's own that was not acknowledged when the page went away. */
export interface PendingMessage {
  readonly room: string
  readonly id: string
  readonly name: string
  readonly text: string
  readonly at: number
}

/** As many are kept across a reload. */
const MAX_PENDING = 200

export function isPendingList(value: unknown): value is PendingMessage[] {
  return (
    Array.isArray(value) &&
    value.every(
      (item: unknown) =>
        isRecord(item) &&
        isString(item['room']) &&
        isString(item['id']) &&
        isString(item['name']) &&
        isString(item['text']) &&
        typeof item['at'] === 'number',
    )
  )
}

/** What would be lost with the page, of all rooms. */
export function pendingOf(state: AppState): PendingMessage[] {
  return state.rooms
    .flatMap(({ room, timeline }) =>
      timeline.entries.flatMap((entry) =>
        entry.kind === 'message' && entry.own && entry.place === null
          ? [{ room, id: entry.key, name: entry.name, text: entry.text, at: entry.at }]
          : [],
      ),
    )
    .slice(-MAX_PENDING)
}

/**
 * A message that an earlier page left: whether it was sent is not known, and sending it again under
 * its id is safe, because the server recognises it.
 */
export function revived(pending: PendingMessage, userId: string): ChatMessage {
  return {
    kind: 'message',
    key: pending.id,
    from: userId,
    name: pending.name,
    text: pending.text,
    at: pending.at,
    own: true,
    place: null,
    seen: false,
    delivery: {
      state: 'failed',
      failure: { code: 'reloaded', message: '', unknown: true, retryable: true },
    },
  }
}
