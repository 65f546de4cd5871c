import {
  decodePayload,
  encodePayload,
  instantNow,
  isMessageId,
  parseTopic,
  RealtimeError,
  utf8Length,
  type ErrorCode,
  type Instant,
  type PublishAck,
  type Runtime,
  type Topic,
} from '@bmt-central/realtime-protocol'
import type { Lane } from './lane.js'

export interface PublishOptions {
  /** The message id, 1 to 64 of [A-Za-z0-9_-]; made where none is given. */
  readonly id?: string
  /** ms after which it is not worth sending: `expired`. All time counts. Default: for ever. */
  readonly ttlMs?: number
  /** `false`: rejects with `not_connected` instead of waiting for a connection. Default `true`. */
  readonly queue?: boolean
  /** Rejects with `aborted` and is not sent any more. */
  readonly signal?: AbortSignal
}

/** Levels of nesting that a payload may have [L5]. */
const MAX_DEPTH = 64

/** One `publish` call that is not settled yet. */
export interface Entry {
  readonly id: string
  readonly topic: Topic
  /** A copy made at the call: every resend is the same [P4]. */
  readonly payload: unknown
  readonly bytes: number
  readonly binary: boolean
  readonly options: PublishOptions
  readonly addedAt: Instant
  readonly lane: Lane<Entry>
  /** What the clocks showed at the call: time online in all, and time that does not count. */
  readonly onlineMs: number
  readonly suspendedMs: number
  readonly resolve: (ack: PublishAck) => void
  readonly reject: (error: RealtimeError) => void
  /** Takes the listener off `options.signal`. */
  readonly release: () => void
  /** On the wire of the present link, and unanswered. */
  inFlight: boolean
  /** Once on the wire: whatever goes wrong here from now on, its outcome is not known here [P5]. */
  sent: boolean
  /** Its link ended before the answer came. */
  orphaned: boolean
  /** The first of the sendings whose outcome is not known [P4]. */
  firstSentAt: Instant | null
  /** Of whom and where the server remembers the id, at that sending. */
  window: string | null
  /** Whose it is; null until somebody is connected for the first time [C8]. */
  owner: string | null
  /** Of an earlier life of this store, and its owner has not been connected in this one. */
  unclaimed: boolean
  /** `onOutbox` has told that it is queued. */
  told: boolean
}

/** What `publish` was given, checked and copied. */
export type Draft = Pick<
  Entry,
  'id' | 'topic' | 'payload' | 'bytes' | 'binary' | 'options' | 'addedAt'
>

/**
 * @throws RealtimeError `invalid_topic` · `invalid_message` · `validation_failed` ·
 *   `invalid_options`
 */
export function draftOf(
  runtime: Runtime,
  publish: { topic: unknown; payload: unknown; options: PublishOptions; id: string },
): Draft {
  const { options, id } = publish
  if (!isMessageId(id)) {
    throw new RealtimeError('invalid_options', 'id must be 1 to 64 of [A-Za-z0-9_-]')
  }
  const { ttlMs } = options
  if (ttlMs !== undefined && !(ttlMs > 0)) {
    throw new RealtimeError('invalid_options', `ttlMs must be above 0, got ${ttlMs}`)
  }
  const topic = parseTopic(publish.topic)
  // Whether this topic may have bytes, its rule says: where that is known, before it is sent.
  const encoded = encodePayload(publish.payload, { maxDepth: MAX_DEPTH, binary: true })
  const { parts } = encoded
  return {
    id,
    topic,
    payload: decodePayload(encoded),
    bytes: parts.reduce((total, part) => total + part.byteLength, utf8Length(encoded.json)),
    binary: parts.length > 0,
    options,
    addedAt: instantNow(runtime),
  }
}

/** An error that arises here. What was once on the wire may have been carried out [P5]. */
export function localError(
  entry: Entry,
  code: ErrorCode,
  { message, cause }: { message: string; cause?: unknown },
): RealtimeError {
  return new RealtimeError(code, `publish ${entry.id} to ${entry.topic}: ${message}`, {
    ...(entry.sent && { details: { outcome: 'unknown' } }),
    cause,
  })
}
