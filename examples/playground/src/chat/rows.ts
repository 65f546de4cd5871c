import type { Gap } from '@bmt-central/realtime-protocol'
import { isSameDay } from '../format.js'
import type { ChatMessage, Entry } from './entries.js'
import { isOld, type Timeline } from './timeline.js'

/** What one line of the list shows; equal rows look the same. */
export type Row =
  | { readonly kind: 'day'; readonly key: string; readonly at: number }
  | { readonly kind: 'unread'; readonly key: string }
  | {
      readonly kind: 'message'
      readonly key: string
      readonly message: ChatMessage
      /** Whether it begins and ends a group of one writer. */
      readonly first: boolean
      readonly last: boolean
      /** From before the server lost its memory. */
      readonly old: boolean
    }
  | {
      readonly kind: 'recovered'
      readonly key: string
      readonly count: number
      readonly lost: number
      readonly twice: number
    }
  | { readonly kind: 'gap'; readonly key: string; readonly gap: Gap }

/** The part of a timeline that is in the document. */
export interface Window {
  /** The last entry shown; null follows the newest. */
  readonly endKey: string | null
}

/** Entries in the document at once. */
export const MAX_SHOWN = 500
/** Messages of one writer further apart than this begin a new group. */
const GROUP_MS = 5 * 60_000

/** Index of the first entry shown and of the one after the last. */
export function shownRange(
  entries: readonly Entry[],
  { endKey }: Window,
): { start: number; end: number } {
  const found = endKey === null ? -1 : entries.findIndex((entry) => entry.key === endKey)
  const end = found === -1 ? entries.length : found + 1
  return { start: Math.max(0, end - MAX_SHOWN), end }
}

/** The rows of a part of a timeline; `unreadKey` is the first message that was not read. */
export function rowsOf(
  timeline: Timeline,
  { start, end }: { start: number; end: number },
  unreadKey: string | null,
): Row[] {
  const rows: Row[] = []
  let day: number | null = null
  let previous: ChatMessage | null = null
  const shown = timeline.entries.slice(start, end)
  for (const [index, entry] of shown.entries()) {
    if (entry.kind !== 'message') {
      rows.push(entry)
      previous = null
      continue
    }
    if (day === null || !isSameDay(day, entry.at)) {
      rows.push({ kind: 'day', key: `day-${entry.key}`, at: entry.at })
      previous = null
    }
    day = entry.at
    if (entry.key === unreadKey) {
      rows.push({ kind: 'unread', key: 'unread' })
      previous = null
    }
    const next = shown[index + 1]
    rows.push({
      kind: 'message',
      key: entry.key,
      message: entry,
      first: previous === null || !sameGroup(previous, entry),
      last: !continues(entry, next, unreadKey),
      old: isOld(timeline, entry),
    })
    previous = entry
  }
  return rows
}

function continues(entry: ChatMessage, next: Entry | undefined, unreadKey: string | null): boolean {
  return (
    next?.kind === 'message' &&
    next.key !== unreadKey &&
    isSameDay(entry.at, next.at) &&
    sameGroup(entry, next)
  )
}

function sameGroup(one: ChatMessage, other: ChatMessage): boolean {
  return (
    one.from === other.from && one.name === other.name && Math.abs(other.at - one.at) < GROUP_MS
  )
}
