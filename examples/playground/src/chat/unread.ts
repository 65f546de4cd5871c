import type { Position } from '@bmt-central/realtime-protocol'
import type { ChatMessage } from './entries.js'
import { comparePlaces, type Timeline } from './timeline.js'

/** The messages of others after the last one read, oldest first; none where nothing was read yet. */
export function unreadOf(timeline: Timeline, readUpTo: Position | null): ChatMessage[] {
  if (readUpTo === null) return []
  const unread: ChatMessage[] = []
  for (let index = timeline.entries.length - 1; index >= 0; index -= 1) {
    const entry = timeline.entries[index]
    if (entry?.kind !== 'message' || entry.place === null) continue
    if (!isAfter(timeline, entry.place, readUpTo)) break
    if (!entry.own) unread.push(entry)
  }
  return unread.reverse()
}

/** Where the newest message stands; null where there is none. */
export function newestPlace(timeline: Timeline): Position | null {
  for (let index = timeline.entries.length - 1; index >= 0; index -= 1) {
    const entry = timeline.entries[index]
    if (entry?.kind === 'message' && entry.place !== null) return entry.place
  }
  return null
}

function isAfter(timeline: Timeline, place: Position, readUpTo: Position): boolean {
  // A position of an epoch that was never shown is from before all that is.
  if (place.epoch !== readUpTo.epoch && !timeline.epochs.includes(readUpTo.epoch)) return true
  return comparePlaces(timeline, place, readUpTo) > 0
}
