/** What a code means to a program: may the same call succeed later, and does it end the connection. */
export interface ErrorSpec {
  /** Whether the same call may succeed later without a change by the caller. */
  readonly retryable: boolean
  /** Which of the original SDK's four kinds the code belongs to. */
  readonly kind: ErrorKind
  /** Whether the code ends the connection ('connection'), one request ('request') or arises in the client only. */
  readonly scope: 'connection' | 'request' | 'client'
  /** What to do about it, in one sentence; `docs/errors.md` has the long form. */
  readonly help: string
}

/** The original SDK's four kinds of errors. */
export type ErrorKind = 'authentication' | 'connection' | 'system' | 'message'

/** Every error code of both sides: the only list. `docs/errors.md` has one heading for each. */
export const ERROR_CODES = {
  token_expired: {
    retryable: true,
    kind: 'authentication',
    scope: 'connection',
    help: 'Connect again with a fresh token: give `auth` as a function that fetches one.',
  },
  too_many_connections: {
    retryable: true,
    kind: 'connection',
    scope: 'connection',
    help: 'Close connections that are not needed, or raise maxConnections or maxConnectionsPerUser.',
  },
  slow_consumer: {
    retryable: true,
    kind: 'connection',
    scope: 'connection',
    help: 'Read faster, or give channels that need only the newest state `overflow: "latest"`.',
  },
  stale: {
    retryable: true,
    kind: 'connection',
    scope: 'connection',
    help: 'Nothing was heard from the client for staleAfterMs; it may connect again.',
  },
  server_closing: {
    retryable: true,
    kind: 'connection',
    scope: 'connection',
    help: 'The server is being stopped or replaced; connect again after retryAfterMs.',
  },
  unauthenticated: {
    retryable: false,
    kind: 'authentication',
    scope: 'connection',
    help: 'Give a valid token; the reason is in the log of the server.',
  },
  protocol_unsupported: {
    retryable: false,
    kind: 'connection',
    scope: 'connection',
    help: 'Use a client and a server that speak the same version of the wire protocol.',
  },
  kicked: {
    retryable: false,
    kind: 'connection',
    scope: 'connection',
    help: 'The server ended this connection on purpose; connect() again only if the user asks.',
  },
  rate_limited: {
    retryable: true,
    kind: 'message',
    scope: 'request',
    help: 'Send less often, or wait for retryAfterMs.',
  },
  channel_full: {
    retryable: true,
    kind: 'message',
    scope: 'request',
    help: 'Raise maxSubscribersPerChannel or maxTopics, or try again when others have left.',
  },
  out_of_order: {
    retryable: true,
    kind: 'message',
    scope: 'request',
    help: 'The publish named by `after` is not accepted: resend in order, from that one on.',
  },
  publish_failed: {
    retryable: true,
    kind: 'system',
    scope: 'request',
    help: 'The broker or `onPublish` refused this publication; look at the log of the server.',
  },
  broker_unavailable: {
    retryable: true,
    kind: 'system',
    scope: 'request',
    help: 'The broker takes nothing at the moment; publishes wait and are tried again.',
  },
  internal_error: {
    retryable: true,
    kind: 'system',
    scope: 'request',
    help: 'Something failed inside the server; its log has the cause.',
  },
  invalid_message: {
    retryable: false,
    kind: 'message',
    scope: 'request',
    help: 'Send what docs/protocol.md describes.',
  },
  invalid_topic: {
    retryable: false,
    kind: 'message',
    scope: 'request',
    help: 'Use 1 to 200 letters, digits or _ - . : @ / + = ~ | without an empty segment.',
  },
  payload_too_large: {
    retryable: false,
    kind: 'message',
    scope: 'request',
    help: 'Send less, or raise maxPayloadBytes.',
  },
  permission_denied: {
    retryable: false,
    kind: 'authentication',
    scope: 'request',
    help: 'Declare a rule in `channels` that admits this user to this topic.',
  },
  validation_failed: {
    retryable: false,
    kind: 'message',
    scope: 'request',
    help: 'Send a payload that the rule of the channel accepts; `details` says what is wrong.',
  },
  id_conflict: {
    retryable: false,
    kind: 'message',
    scope: 'request',
    help: 'Use a new message id for each new payload.',
  },
  too_many_subscriptions: {
    retryable: false,
    kind: 'message',
    scope: 'request',
    help: 'Unsubscribe from what is not needed, or raise maxSubscriptionsPerConnection.',
  },
  not_subscribed: {
    retryable: false,
    kind: 'message',
    scope: 'request',
    help: 'Subscribe to the topic first.',
  },
  not_connected: {
    retryable: true,
    kind: 'connection',
    scope: 'client',
    help: 'Wait for the connection; `cause` says why there is none.',
  },
  queue_overflow: {
    retryable: true,
    kind: 'message',
    scope: 'client',
    help: 'Raise maxQueueSize or maxQueueBytes, or publish less while offline.',
  },
  expired: {
    retryable: false,
    kind: 'message',
    scope: 'client',
    help: 'It waited longer than ttlMs or maxOfflineMs; publish it again if it still matters.',
  },
  timeout: {
    retryable: false,
    kind: 'message',
    scope: 'client',
    help: 'No answer came in time; where details.outcome is "unknown" it may have been carried out.',
  },
  closed: {
    retryable: false,
    kind: 'message',
    scope: 'client',
    help: 'The client was closed, or its user changed; make a new one or publish again.',
  },
  aborted: {
    retryable: false,
    kind: 'message',
    scope: 'client',
    help: 'The caller aborted it by its AbortSignal.',
  },
  position_lost: {
    retryable: false,
    kind: 'message',
    scope: 'client',
    help: 'Reload your state, then subscribe without `since`.',
  },
  invalid_options: {
    retryable: false,
    kind: 'message',
    scope: 'client',
    help: 'Correct the option that the message names.',
  },
} as const

/** A stable code that programs branch on. */
export type ErrorCode = keyof typeof ERROR_CODES

/** What a `RealtimeError` may carry besides code and message. */
export interface RealtimeErrorOptions {
  /** Overrides what the table says of the code. */
  readonly retryable?: boolean
  /** ms to wait before a retry. */
  readonly retryAfterMs?: number
  /** JSON values that a program or a person can use. Never payloads or tokens. */
  readonly details?: Readonly<Record<string, unknown>>
  readonly cause?: unknown
}

/** The failed acknowledgement of [W5], and the part of it that `closing` and `connect_error` carry. */
export interface WireFailure {
  status: 'error'
  type: 'error'
  code: ErrorCode
  message: string
  retryable: boolean
  retryAfterMs?: number
  details?: Readonly<Record<string, unknown>>
  messageId?: string
  topic?: string
}

/**
 * The one error class of server and client. The message says what happened, with the values;
 * `ERROR_CODES[code].help` says what to do. Branch on `code`, never on the text.
 */
export class RealtimeError extends Error {
  readonly code: ErrorCode
  readonly retryable: boolean
  // `declare`: a field would be there with the value undefined where nothing was given.
  declare readonly retryAfterMs?: number
  declare readonly details?: Readonly<Record<string, unknown>>

  constructor(code: ErrorCode, message: string, options: RealtimeErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'RealtimeError'
    this.code = code
    this.retryable = options.retryable ?? specOf(code).retryable
    if (options.retryAfterMs !== undefined) this.retryAfterMs = options.retryAfterMs
    if (options.details !== undefined) this.details = options.details
  }

  /** The original SDK's kind: authentication, connection, system or message. */
  get kind(): ErrorKind {
    return specOf(this.code).kind
  }

  /** What to do about it. */
  get help(): string {
    return specOf(this.code).help
  }
}

/** The table's entry, checked against `ErrorSpec` by its type. */
function specOf(code: ErrorCode): ErrorSpec {
  return ERROR_CODES[code]
}

export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === 'string' && Object.hasOwn(ERROR_CODES, value)
}

/** The failed acknowledgement for an error [W5]. What is not a `RealtimeError` leaks nothing. */
export function toWireFailure(error: unknown, messageId?: string): WireFailure {
  const known =
    error instanceof RealtimeError
      ? error
      : new RealtimeError('internal_error', 'the server failed to carry out the request')
  return {
    status: 'error',
    type: 'error',
    code: known.code,
    message: known.message,
    retryable: known.retryable,
    ...(known.retryAfterMs !== undefined && { retryAfterMs: known.retryAfterMs }),
    ...(isJson(known.details) && { details: known.details }),
    ...(messageId !== undefined && { messageId }),
  }
}

/** Details come from hooks, too: what JSON cannot say must not cost the answer itself. */
function isJson(details: RealtimeErrorOptions['details']): details is Record<string, unknown> {
  if (details === undefined) return false
  try {
    return JSON.stringify(details) !== undefined
  } catch {
    return false
  }
}

/**
 * The error behind `{ code, message, retryable, retryAfterMs?, details? }` from the wire (a failed
 * acknowledgement, `closing`, `unsubscribed`, the data of a `connect_error`). Never throws: a code
 * that this version does not know becomes `internal_error` with the code in `details.wireCode`.
 */
export function fromWireFailure(value: unknown): RealtimeError {
  const data: Record<string, unknown> =
    typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  const known = isErrorCode(data['code'])
  const code = known ? (data['code'] as ErrorCode) : 'internal_error'
  const text = typeof data['message'] === 'string' ? data['message'] : 'the server gave no reason'
  const details = isRecord(data['details']) ? data['details'] : undefined
  const wireCode =
    !known && typeof data['code'] === 'string' ? { wireCode: data['code'] } : undefined
  const retryAfterMs = data['retryAfterMs']
  return new RealtimeError(code, text, {
    ...(typeof data['retryable'] === 'boolean' && { retryable: data['retryable'] }),
    ...(typeof retryAfterMs === 'number' && retryAfterMs >= 0 && { retryAfterMs }),
    ...((details !== undefined || wireCode !== undefined) && {
      details: { ...details, ...wireCode },
    }),
  })
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
