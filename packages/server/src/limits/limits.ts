import { RealtimeError } from '@bmt-central/realtime-protocol'
import {
  definedFields,
  fieldsOption,
  integerOption,
  positiveOption,
  refuseKeys,
} from '../option-values.js'

/** Every limit that this version enforces; contract section 7 says what happens past each. */
export interface Limits {
  /** Subscribers of a channel, as the broker counts [L1]. */
  readonly maxSubscribersPerChannel: number
  /** Retained publications of a stream [L2]; a rule's `history.size` replaces it for its topics. */
  readonly maxMessageHistory: number
  /** Age of a retained publication [L2]; a rule's `history.ttlMs` replaces it. */
  readonly maxHistoryAgeMs: number
  /** Payload bytes retained of a stream [L2]; a rule's `history.bytes` replaces it. */
  readonly maxHistoryBytes: number
  /** Connections of this server [L3]. */
  readonly maxConnections: number
  /** Connections of one user [L3]. */
  readonly maxConnectionsPerUser: number
  /** Subscriptions of one connection [L4]. */
  readonly maxSubscriptionsPerConnection: number
  /** Bytes of a payload's JSON in UTF-8 [L5]. */
  readonly maxPayloadBytes: number
  /** Levels of arrays and objects in a payload [L5]. */
  readonly maxPayloadDepth: number
  /** Bytes of one frame from a client; a larger one ends the connection [L5]. */
  readonly maxFrameBytes: number
  /** Publishes of a connection, in the long run [L6]. */
  readonly publishesPerSecond: number
  /** Publishes of a connection at once [L6]. */
  readonly publishBurst: number
  /** Payload bytes that a connection publishes, in the long run [L6]. */
  readonly publishBytesPerSecond: number
  /** Payload bytes that a connection publishes at once [L6]. */
  readonly publishBytesBurst: number
  /** Other requests of a connection, in the long run; a batch counts one per topic [L7]. */
  readonly requestsPerSecond: number
  /** Other requests of a connection at once [L7]. */
  readonly requestBurst: number
  /** Bytes that wait for a connection before it may be slow [L8]. */
  readonly maxBufferedBytes: number
  /** Bytes that wait for a connection before it is ended at once [L8]. */
  readonly hardMaxBufferedBytes: number
  /** From the opened transport to the admitted connection, `authenticate` included [L9]. */
  readonly handshakeTimeoutMs: number
  /** Silence after which a connection is ended [L10]. */
  readonly staleAfterMs: number
  /** How often stale connections and empty channels are looked for [L10]. */
  readonly sweepIntervalMs: number
  /** Live topics of this server [L11]. */
  readonly maxTopics: number
  /** How long a channel without subscribers keeps its live state [L12]. */
  readonly emptyChannelTtlMs: number
  /** Requests in progress of a connection [L15]; as many more wait. */
  readonly maxRequestsInProgress: number
  /** Publications of one page [L16]. */
  readonly maxPageMessages: number
  /** Payload bytes of one page [L16]; one larger publication goes alone. */
  readonly maxPageBytes: number
  /** How long an accepted message id is remembered [L17]. */
  readonly idempotencyWindowMs: number
  /** Accepted message ids that the broker remembers [L17]. */
  readonly maxIdempotencyIds: number
  /** Bytes that the broker retains of all streams together [L18]. */
  readonly maxRetainedBytes: number
}

const KIB = 1_024
const MIB = 1_024 * KIB
const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS

/** The defaults of contract section 7. */
export const LIMIT_DEFAULTS: Readonly<Limits> = Object.freeze({
  maxSubscribersPerChannel: 10_000,
  maxMessageHistory: 1_000,
  maxHistoryAgeMs: 24 * HOUR_MS,
  maxHistoryBytes: 8 * MIB,
  maxConnections: 50_000,
  maxConnectionsPerUser: 100,
  maxSubscriptionsPerConnection: 500,
  maxPayloadBytes: 64 * KIB,
  maxPayloadDepth: 64,
  maxFrameBytes: MIB,
  publishesPerSecond: 100,
  publishBurst: 200,
  publishBytesPerSecond: MIB,
  publishBytesBurst: 2 * MIB,
  requestsPerSecond: 100,
  requestBurst: 1_000,
  maxBufferedBytes: MIB,
  hardMaxBufferedBytes: 16 * MIB,
  handshakeTimeoutMs: 10_000,
  staleAfterMs: 5 * MINUTE_MS,
  sweepIntervalMs: MINUTE_MS,
  maxTopics: 100_000,
  emptyChannelTtlMs: MINUTE_MS,
  maxRequestsInProgress: 256,
  maxPageMessages: 500,
  maxPageBytes: 256 * KIB,
  idempotencyWindowMs: 5 * MINUTE_MS,
  maxIdempotencyIds: 1_000_000,
  maxRetainedBytes: 256 * MIB,
})

/** Limits of the contract that this version does not enforce yet: refused by name. */
const LATER = [
  'maxPendingConnections',
  'maxPendingConnectionsPerAddress',
  'maxTotalBufferedBytes',
  'topicsPerSecond',
  'topicBurst',
  'maxPresenceBytes',
] as const

/** Rates may be fractions: one publish in ten seconds is 0.1. */
const RATES: readonly (keyof Limits)[] = [
  'publishesPerSecond',
  'publishBytesPerSecond',
  'requestsPerSecond',
]
/** 0 means that nothing is kept, not that there is no limit. */
const MAY_BE_ZERO: readonly (keyof Limits)[] = [
  'maxMessageHistory',
  'maxHistoryAgeMs',
  'maxHistoryBytes',
  'maxPayloadDepth',
  'emptyChannelTtlMs',
  'maxRetainedBytes',
]

/** What a publish frame holds besides its payload, at most: topic, ids, event name, escapes. */
const FRAME_ENVELOPE_BYTES = 4 * KIB

/** Each pair: the first must not be above the second, or one of the two can never be used. */
const MUST_FIT: readonly (readonly [keyof Limits, keyof Limits, number])[] = [
  ['maxPayloadBytes', 'publishBytesBurst', 0],
  ['maxPayloadBytes', 'maxFrameBytes', FRAME_ENVELOPE_BYTES],
  ['maxBufferedBytes', 'hardMaxBufferedBytes', 0],
]

/**
 * All limits: those given, and the defaults of the others.
 * @throws RealtimeError `invalid_options`, naming the limit (unknown, not yet there, out of range,
 *   or excluding another one)
 */
export function resolveLimits(input: unknown = {}): Readonly<Limits> {
  const given = fieldsOption('limits', input)
  const names = Object.keys(LIMIT_DEFAULTS) as (keyof Limits)[]
  refuseKeys('limits', given, { known: names, later: LATER })
  const limits: Limits = { ...LIMIT_DEFAULTS, ...definedFields(given) }
  for (const name of names) {
    if (RATES.includes(name)) positiveOption(`limits.${name}`, limits[name])
    else integerOption(`limits.${name}`, limits[name], MAY_BE_ZERO.includes(name) ? 0 : 1)
  }
  for (const [small, large, between] of MUST_FIT) {
    if (limits[small] + between <= limits[large]) continue
    throw new RealtimeError(
      'invalid_options',
      `limits.${large} (${limits[large]}) must be at least limits.${small} (${limits[small]})` +
        (between === 0 ? '' : ` and ${between} more`),
    )
  }
  return Object.freeze(limits)
}
