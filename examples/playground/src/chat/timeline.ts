import type { EventMessage, Gap, Position } from '@bmt-central/realtime-protocol'
import type { ChatMessage, ChatPayload, Delivery, Entry, Notice } from './entries.js'

/** The messages of one room in their order, and what we counted for ourselves. */
export interface Timeline {
  readonly entries: readonly Entry[]
  /** Oldest first; the last one is the stream's current epoch. */
  readonly epochs: readonly string[]
  /** The last message that the subscription delivered, or where a gap has moved it. */
  readonly last: Position | null
  /** Publications that were missing or came twice although no gap was announced. */
  readonly lost: number
  readonly twice: number
  /** Older ones were dropped here to bound memory. */
  readonly trimmed: boolean
  readonly notices: number
}

export const EMPTY_TIMELINE: Timeline = {
  entries: [],
  epochs: [],
  last: null,
  lost: 0,
  twice: 0,
  trimmed: false,
  notices: 0,
}

/** Entries kept of one room. */
export const MAX_ENTRIES = 3_000

/** A message of one's own that is on its way. */
export function written(timeline: Timeline, message: ChatMessage): Timeline {
  return withEntries(timeline, [...timeline.entries, message])
}

/** A message that the subscription delivered; `own` says that this window published it. */
export function received(
  timeline: Timeline,
  event: EventMessage<ChatPayload>,
  own: boolean,
): Timeline {
  const place: Position = { epoch: event.epoch, seq: event.seq }
  const known = findMessage(timeline, event.id)
  const twice = known?.seen === true && samePlace(known.place, place)
  const { last } = timeline
  const missing =
    last !== null && last.epoch === place.epoch ? Math.max(0, place.seq - last.seq - 1) : 0
  return placed(
    {
      ...withEpoch(timeline, place.epoch),
      last: place,
      twice: timeline.twice + (twice ? 1 : 0),
      lost: timeline.lost + missing,
    },
    messageOf(event, known, { own, seen: true }),
  )
}

/** Messages of the past that were asked for: they fill in what is not there yet. */
export function merged(
  timeline: Timeline,
  events: readonly EventMessage<ChatPayload>[],
  userId: string,
): Timeline {
  return events.reduce((result, event) => {
    const known = findMessage(result, event.id)
    if (known?.place !== undefined && samePlace(known.place, event)) return result
    const own = event.from === userId
    const message = messageOf(event, known, { own, seen: known?.seen ?? false })
    return placed(withEpoch(result, event.epoch), message)
  }, timeline)
}

/** What became of a message of one's own; with `place`, it moves to where it stands. */
export function delivered(
  timeline: Timeline,
  id: string,
  delivery: Delivery,
  place: Position | null = null,
): Timeline {
  const known = findMessage(timeline, id)
  if (known === null) return timeline
  if (place === null || samePlace(known.place, place)) {
    // What has arrived stays so, whatever a late failure says of its acknowledgement.
    if (known.place !== null && delivery.state !== 'acknowledged') return timeline
    return replaced(timeline, { ...known, delivery })
  }
  return placed(withEpoch(timeline, place.epoch), { ...known, delivery, place })
}

/** Takes a message out, to send or to edit it again. */
export function removed(timeline: Timeline, id: string): Timeline {
  return withEntries(
    timeline,
    timeline.entries.filter((entry) => entry.key !== id),
  )
}

/** The subscription says what is missing; it goes on after that. */
export function gapped(timeline: Timeline, gap: Gap): Timeline {
  const notice: Notice = { kind: 'gap', key: `notice-${timeline.notices}`, gap }
  const last: Position = { epoch: gap.epoch, seq: gap.to ?? 0 }
  return noticed({ ...withEpoch(timeline, gap.epoch), last }, notice)
}

/** The subscription is live from `position` on. */
export function live(timeline: Timeline, position: Position): Timeline {
  const known = withEpoch(timeline, position.epoch)
  return { ...known, last: known.last ?? position }
}

/** A recovery is complete; `before` is the timeline as it was when the line broke. */
export function recovered(timeline: Timeline, count: number, before: Timeline): Timeline {
  return noticed(timeline, {
    kind: 'recovered',
    key: `notice-${timeline.notices}`,
    count,
    lost: timeline.lost - before.lost,
    twice: timeline.twice - before.twice,
  })
}

/** What is not in the stream comes after all that is: so a page begins that brings some along. */
export function unplacedLast(timeline: Timeline): Timeline {
  const isUnplaced = (entry: Entry): boolean => entry.kind === 'message' && entry.place === null
  return withEntries(timeline, [
    ...timeline.entries.filter((entry) => !isUnplaced(entry)),
    ...timeline.entries.filter(isUnplaced),
  ])
}

/** Whether a message is from before the server lost its memory. */
export function isOld(timeline: Timeline, message: ChatMessage): boolean {
  return message.place !== null && message.place.epoch !== timeline.epochs.at(-1)
}

export function findMessage(timeline: Timeline, id: string): ChatMessage | null {
  for (let index = timeline.entries.length - 1; index >= 0; index -= 1) {
    const entry = timeline.entries[index]
    if (entry?.kind === 'message' && entry.key === id) return entry
  }
  return null
}

/** The first message of the current epoch: earlier ones are asked for before it. */
export function earliestOf(timeline: Timeline): Position | null {
  const epoch = timeline.epochs.at(-1)
  for (const entry of timeline.entries) {
    if (entry.kind === 'message' && entry.place?.epoch === epoch) return entry.place ?? null
  }
  return null
}

/** Ascending: negative where `one` comes first. Epochs are ordered as they were met. */
export function comparePlaces(timeline: Timeline, one: Position, other: Position): number {
  if (one.epoch === other.epoch) return one.seq - other.seq
  return timeline.epochs.indexOf(one.epoch) - timeline.epochs.indexOf(other.epoch)
}

function messageOf(
  event: EventMessage<ChatPayload>,
  known: ChatMessage | null,
  { own, seen }: { own: boolean; seen: boolean },
): ChatMessage {
  const isOwn = own || known?.own === true
  return {
    kind: 'message',
    key: event.id,
    from: event.from,
    name: event.payload.name,
    text: event.payload.text,
    at: event.timestamp,
    own: isOwn,
    place: { epoch: event.epoch, seq: event.seq },
    seen,
    delivery: isOwn ? deliveryAfterArrival(known?.delivery ?? null) : null,
  }
}

/** It is in the stream: it did arrive. While its acknowledgement may still come, that says more. */
function deliveryAfterArrival(delivery: Delivery | null): Delivery {
  if (delivery === null || delivery.state === 'failed') {
    return { state: 'acknowledged', deliveredTo: null }
  }
  return delivery
}

/** Puts a message where its place is, ahead of what is still on its way. */
function placed(timeline: Timeline, message: ChatMessage): Timeline {
  const entries = timeline.entries.filter((entry) => entry.key !== message.key)
  const { place } = message
  let index = entries.length
  while (index > 0 && !comesBefore(timeline, entries[index - 1], place)) index -= 1
  // Notices and what has failed keep their place behind the message that they followed.
  while (index < entries.length && isAnchored(entries[index])) index += 1
  entries.splice(index, 0, message)
  return withEntries(timeline, entries)
}

function comesBefore(
  timeline: Timeline,
  entry: Entry | undefined,
  place: Position | null,
): boolean {
  if (entry?.kind !== 'message' || entry.place === null || place === null) return false
  return comparePlaces(timeline, entry.place, place) < 0
}

function isAnchored(entry: Entry | undefined): boolean {
  if (entry === undefined) return false
  return entry.kind !== 'message' || (entry.place === null && entry.delivery?.state === 'failed')
}

function noticed(timeline: Timeline, notice: Notice): Timeline {
  const entries = [...timeline.entries]
  let index = entries.length
  while (index > 0 && isUnderWay(entries[index - 1])) index -= 1
  entries.splice(index, 0, notice)
  return withEntries({ ...timeline, notices: timeline.notices + 1 }, entries)
}

function isUnderWay(entry: Entry | undefined): boolean {
  return entry?.kind === 'message' && entry.place === null && entry.delivery?.state !== 'failed'
}

function replaced(timeline: Timeline, message: ChatMessage): Timeline {
  return withEntries(
    timeline,
    timeline.entries.map((entry) => (entry.key === message.key ? message : entry)),
  )
}

function withEpoch(timeline: Timeline, epoch: string): Timeline {
  if (timeline.epochs.includes(epoch)) return timeline
  return { ...timeline, epochs: [...timeline.epochs, epoch] }
}

/** Drops the oldest beyond the cap, never what is still on its way. */
function withEntries(timeline: Timeline, entries: readonly Entry[]): Timeline {
  const excess = entries.length - MAX_ENTRIES
  if (excess <= 0) return { ...timeline, entries }
  const kept = entries.filter((entry, index) => index >= excess || isUnderWay(entry))
  return { ...timeline, entries: kept, trimmed: true }
}

function samePlace(one: Position | null, other: Position): boolean {
  return one !== null && one.epoch === other.epoch && one.seq === other.seq
}
