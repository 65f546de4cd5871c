import { kindOf, type Instant, type Runtime } from '@bmt-central/realtime-protocol'
import { draftOf, type Draft, type Entry } from './entry.js'
import type { OutboxRecord } from './outbox-store.js'

/** Counted up where a version of ours could not read what another one has written. */
const FORMAT = 1

/** That a publish was or may be on the wire, and where the server remembers it [P4]. */
export interface Mark {
  /** By the wall clock: it is the only one that goes on while no page is open. */
  readonly at: number
  readonly window: string
}

/** A publish as it is stored. No promise waits for it after a reload, and no signal ends it. */
interface StoredPublish {
  readonly format: typeof FORMAT
  readonly id: string
  readonly topic: string
  readonly payload: unknown
  readonly owner: string
  /** By the wall clock. */
  readonly addedAt: number
  readonly ttlMs?: number
  readonly sent?: Mark
}

/** What comes back from a store. */
export interface Restored {
  readonly key: number
  readonly draft: Draft
  readonly owner: string
  /** Where it was once on the wire: of whom and where the server remembers the id, and since when. */
  readonly firstSentAt: Instant | null
  readonly window: string | null
}

export function storedPublish(entry: Entry, sent: Mark | null): StoredPublish {
  const { id, topic, payload, options, addedAt } = entry
  return {
    format: FORMAT,
    id,
    topic,
    payload,
    owner: entry.owner ?? '',
    addedAt: addedAt.wallAt,
    ...(options.ttlMs !== undefined && { ttlMs: options.ttlMs }),
    ...(sent !== null && { sent }),
  }
}

/**
 * Trusts nothing: another version of ours, the page's own code or a fault may have written it.
 * @throws Error in words, or what a fresh publish would be refused with
 */
export function readStored(runtime: Runtime, { key, value }: OutboxRecord): Restored {
  const stored = Object(value) as Partial<Record<keyof StoredPublish, unknown>>
  const { format, id, topic, payload, owner, addedAt, ttlMs, sent } = stored
  if (format !== FORMAT) throw new Error(`its format is ${kindOf(format)} ${String(format)}`)
  if (typeof id !== 'string' || typeof owner !== 'string') throw new Error('no id, or no owner')
  if (typeof addedAt !== 'number') throw new Error('no time')
  if (ttlMs !== undefined && typeof ttlMs !== 'number') throw new Error('no ttlMs')
  const options = ttlMs === undefined ? {} : { ttlMs }
  return {
    key,
    draft: {
      ...draftOf(runtime, { topic, payload, options, id }),
      addedAt: instantOf(runtime, Math.min(addedAt, runtime.wallNow())),
    },
    owner,
    ...(sent === undefined ? { firstSentAt: null, window: null } : readMark(runtime, sent)),
  }
}

function readMark(runtime: Runtime, value: unknown): Pick<Restored, 'firstSentAt' | 'window'> {
  const { at, window } = Object(value) as Partial<Record<keyof Mark, unknown>>
  if (typeof at !== 'number' || typeof window !== 'string') throw new Error('no first sending')
  // A clock that was set back says nothing of the age: too old is the safe side [P4].
  const wallAt = at > runtime.wallNow() ? -Infinity : at
  return { firstSentAt: instantOf(runtime, wallAt), window }
}

/** A time of an earlier life, by both clocks of this one. */
function instantOf(runtime: Runtime, wallAt: number): Instant {
  return { wallAt, monotonicAt: runtime.monotonicNow() - (runtime.wallNow() - wallAt) }
}
