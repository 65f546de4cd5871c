import {
  ANONYMOUS_ROLE,
  kindOf,
  PROTOCOL_VERSION,
  RealtimeError,
  userIdFault,
  type Logger,
  type Runtime,
  type User,
} from '@bmt-central/realtime-protocol'
import { withTimeLimit } from '../time-limit.js'

/** What a client says of itself [W2]. */
export interface ClientFacts {
  readonly name?: string
  readonly version?: string
  /** 16 to 64 of [A-Za-z0-9_-]: one client object. */
  readonly instance?: string
  /** Which of its links this is, a whole number: of two connections of one instance the higher stays. */
  readonly attempt?: number
}

/** What is known of somebody who wants to connect. */
export interface Handshake {
  /** `auth.token`; null where there is none. Never taken from the query string. */
  readonly token: string | null
  /** All of the handshake's `auth`, unchecked. */
  readonly auth: Readonly<Record<string, unknown>>
  /** Headers of the HTTP request that opened the transport. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  /** The peer's address; the one that `X-Forwarded-For` names only under `trustProxy`. */
  readonly address: string
  readonly connectionId: string
  readonly client: ClientFacts | null
}

/**
 * Says who somebody is, or throws. A `RealtimeError` is the answer as it is; anything else is
 * `unauthenticated`, with its reason in the server's log only.
 */
export type Authenticate = (handshake: Handshake) => User | Promise<User>

/** How connections are admitted. */
export interface AdmissionOptions {
  readonly authenticate: Authenticate
  /** Without a token: an anonymous user, without asking `authenticate` [R7]. */
  readonly anonymous: boolean
  /** Time that `authenticate` has [L9]. */
  readonly handshakeTimeoutMs: number
}

/** What strangers are told, whatever was wrong: which part it was helps only those who guess. */
const REFUSED = 'the server does not accept this token'
/** Expiry timers hold up to here [P10]; a later `exp` is usually one in ms instead of s. */
const LATEST_EXPIRY_AT = 253_402_300_799_999

/**
 * The user behind a handshake, checked.
 * @throws RealtimeError `unauthenticated` · `token_expired` · `internal_error` (`authenticate` took
 *   too long: retryable, since a slow dependency of ours says nothing of the token) · whatever
 *   `RealtimeError` `authenticate` throws
 */
export async function admit(
  handshake: Handshake,
  options: AdmissionOptions,
  ports: { readonly runtime: Runtime; readonly logger: Logger },
): Promise<User> {
  const { connectionId, token } = handshake
  if (token === null && options.anonymous) {
    return { userId: `anonymous-${connectionId}`, role: ANONYMOUS_ROLE, permissions: [] }
  }
  const user = await identify(handshake, options, ports)
  const fault = userFault(user)
  if (fault !== null) {
    ports.logger.warn('authenticate gave a user that cannot be admitted', { connectionId, fault })
    throw new RealtimeError('unauthenticated', REFUSED)
  }
  const { expiresAt } = user
  if (expiresAt !== undefined && expiresAt <= ports.runtime.wallNow()) {
    throw new RealtimeError('token_expired', 'the token has expired')
  }
  return ownUser(user)
}

/** Asks the application, within its time. */
async function identify(
  handshake: Handshake,
  { authenticate, handshakeTimeoutMs }: AdmissionOptions,
  { runtime, logger }: { readonly runtime: Runtime; readonly logger: Logger },
): Promise<User> {
  const { connectionId, address } = handshake
  const late = (): RealtimeError =>
    new RealtimeError('internal_error', `authentication took longer than ${handshakeTimeoutMs} ms`)
  try {
    // Within a promise, so that a function that throws at once is handled like one that rejects.
    const asked = Promise.resolve(handshake).then(authenticate)
    return await withTimeLimit(runtime, asked, { ms: handshakeTimeoutMs, late })
  } catch (error) {
    const refusal = error instanceof RealtimeError
    const log = refusal && !error.retryable ? logger.info : logger.warn
    log('authentication refused', { connectionId, address, reason: reasonOf(error) })
    if (refusal) throw error
    throw new RealtimeError('unauthenticated', REFUSED)
  }
}

/** How many causes deep a log says why: an error may be its own cause. */
const MAX_CAUSES = 3

/** Why somebody was refused, for the log: messages only, since stacks of expected refusals hide others. */
function reasonOf(error: unknown, causes: number = MAX_CAUSES): string {
  if (!(error instanceof Error)) return `threw ${kindOf(error)}`
  const code = error instanceof RealtimeError ? error.code : error.name
  const cause =
    error.cause === undefined || causes === 0 ? '' : ` (${reasonOf(error.cause, causes - 1)})`
  return `${code}: ${error.message}${cause}`
}

/** Why a user cannot be admitted, or null. Whoever reads it is the operator, so it may be exact. */
function userFault(user: unknown): string | null {
  if (typeof user !== 'object' || user === null)
    return `a user must be an object, got ${kindOf(user)}`
  const { userId, role, permissions, expiresAt } = user as Record<string, unknown>
  const idFault = userIdFault(userId)
  if (idFault !== null) {
    return `${idFault}; map the ids of your tokens with \`mapUser\` of jwtAuth, or in \`authenticate\``
  }
  if (typeof role !== 'string' || role === '') return `role must be a string, got ${kindOf(role)}`
  if (permissions !== undefined && !isListOfStrings(permissions)) {
    return 'permissions must be a list of strings'
  }
  if (expiresAt === undefined) return null
  if (typeof expiresAt !== 'number' || !Number.isFinite(expiresAt)) {
    return `expiresAt must be a finite number of ms since the Unix epoch, got ${kindOf(expiresAt)}`
  }
  if (expiresAt > LATEST_EXPIRY_AT) {
    return `expiresAt ${expiresAt} is after the year 9999: \`exp\` of a token is in seconds, not ms`
  }
  return null
}

function isListOfStrings(value: unknown): boolean {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}

/** A copy of our own: what the application does to its object later changes no rights. */
function ownUser(user: User): User {
  const { userId, role, permissions, expiresAt, ...claims } = user
  return {
    ...claims,
    userId,
    role,
    permissions: [...(permissions ?? [])],
    ...(expiresAt !== undefined && { expiresAt }),
  }
}

/**
 * The token of a handshake's `auth`; null where there is none (an empty one is none).
 * @throws RealtimeError `unauthenticated` (something that is no string)
 */
export function parseToken(auth: Readonly<Record<string, unknown>>): string | null {
  const { token } = auth
  if (token === undefined || token === null || token === '') return null
  if (typeof token === 'string') return token
  throw new RealtimeError('unauthenticated', `auth.token must be a string, got ${kindOf(token)}`)
}

const NAME = /^[\p{L}\p{M}\p{Nd}_\-.:@/+=~|]{1,64}$/u
const INSTANCE = /^[A-Za-z0-9_-]{16,64}$/

/**
 * What the handshake's `auth` says of the client [W2]. Names that cannot be shown are dropped, an
 * `instance` or `attempt` that cannot be one is ignored.
 * @throws RealtimeError `protocol_unsupported` (left out, it is 1)
 */
export function parseClientInfo(auth: Readonly<Record<string, unknown>>): {
  protocol: number
  client: ClientFacts | null
} {
  const protocol = auth['protocol'] ?? PROTOCOL_VERSION
  if (protocol !== PROTOCOL_VERSION) {
    const got = typeof protocol === 'number' ? String(protocol) : kindOf(protocol)
    throw new RealtimeError(
      'protocol_unsupported',
      `this server speaks wire protocol ${PROTOCOL_VERSION}, the client asked for ${got}`,
    )
  }
  return { protocol: PROTOCOL_VERSION, client: clientFacts(auth['client']) }
}

function clientFacts(value: unknown): ClientFacts | null {
  if (typeof value !== 'object' || value === null) return null
  const { name, version, instance, attempt } = value as Record<string, unknown>
  return {
    ...(matches(name, NAME) && { name }),
    ...(matches(version, NAME) && { version }),
    ...(matches(instance, INSTANCE) && { instance }),
    ...(isWhole(attempt) && { attempt }),
  }
}

function isWhole(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function matches(value: unknown, pattern: RegExp): value is string {
  return typeof value === 'string' && pattern.test(value)
}
