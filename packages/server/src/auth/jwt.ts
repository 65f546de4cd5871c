import { subtle } from 'node:crypto'
import { kindOf, RealtimeError, type Runtime, type User } from '@bmt-central/realtime-protocol'
import { errors, jwtVerify, type CryptoKey, type JWTPayload, type JWTVerifyOptions } from 'jose'
import { fieldsOption, integerOption, invalidOption, refuseKeys } from '../option-values.js'
import { systemRuntime } from '../system-runtime.js'
import type { Authenticate } from './authenticate.js'

/** How JSON Web Tokens become users. */
export interface JwtAuthOptions {
  /** The key of HS256; at least 32 random bytes are worth the name. */
  readonly secret: string | Uint8Array
  /** The `iss` that tokens must have (one of them); `false`: not looked at. */
  readonly issuer: string | readonly string[] | false
  /** The `aud` that tokens must have (one of them); `false`: not looked at. */
  readonly audience: string | readonly string[] | false
  /**
   * What of the user is read from the claims in another way. What it leaves out is read as usual:
   * `sub` → userId, `role` (default `user`), `permissions` (default none), `exp` → expiresAt.
   */
  readonly mapUser?: (claims: Readonly<JWTPayload>) => Partial<User> | Promise<Partial<User>>
  /** How far the clocks of issuer and server may be apart. Default 0. */
  readonly clockToleranceMs?: number
  /** For tests. */
  readonly runtime?: Runtime
}

const KEYS = ['secret', 'issuer', 'audience', 'mapUser', 'clockToleranceMs', 'runtime'] as const
const LATER = ['publicKey', 'jwksUrl', 'algorithms'] as const

/** Far above any real token; a longer one costs a hash over all of it. */
const MAX_TOKEN_LENGTH = 16_384

/**
 * Users by JSON Web Token, HS256 and nothing else: `exp` is required, `issuer` and `audience` are
 * given or explicitly `false`.
 *
 * Refuses with `token_expired` (a genuine token whose `exp` is in the past) or `unauthenticated`
 * (everything else: which part was wrong is in the server's log alone).
 * @throws RealtimeError `invalid_options`
 */
export function jwtAuth(options: JwtAuthOptions): Authenticate {
  const fields = fieldsOption('the options of jwtAuth', options)
  refuseKeys('jwtAuth', fields, { known: KEYS, later: LATER })
  const key = keyOf(options.secret)
  const issuer = expectedOf('jwtAuth.issuer', options.issuer)
  const audience = expectedOf('jwtAuth.audience', options.audience)
  const { mapUser, clockToleranceMs = 0, runtime = systemRuntime() } = options
  integerOption('jwtAuth.clockToleranceMs', clockToleranceMs, 0)
  if (mapUser !== undefined && typeof mapUser !== 'function') {
    throw invalidOption('jwtAuth.mapUser', 'a function', mapUser)
  }
  const checks: JWTVerifyOptions = {
    algorithms: ['HS256'],
    requiredClaims: ['exp'],
    clockTolerance: clockToleranceMs / 1_000,
    ...(issuer !== null && { issuer }),
    ...(audience !== null && { audience }),
  }
  return async ({ token }) => {
    if (token === null) throw refusal(new Error('the handshake has no token'))
    if (token.length > MAX_TOKEN_LENGTH) {
      throw refusal(new Error(`the token has ${token.length} characters`))
    }
    const claims = await claimsOf(token, await key(), { ...checks, currentDate: dateNow(runtime) })
    return userOf(claims, mapUser === undefined ? {} : await mapUser(claims))
  }
}

function dateNow(runtime: Runtime): Date {
  // oxlint-disable-next-line no-restricted-globals -- jose takes the instant as a Date; the clock is the runtime's
  return new Date(runtime.wallNow())
}

async function claimsOf(
  token: string,
  key: CryptoKey,
  checks: JWTVerifyOptions,
): Promise<JWTPayload> {
  try {
    const { payload } = await jwtVerify(token, key, checks)
    return payload
  } catch (error) {
    // jose looks at `exp` after the signature, so this is said of genuine tokens only.
    if (error instanceof errors.JWTExpired) {
      throw new RealtimeError('token_expired', 'the token has expired', { cause: error })
    }
    throw refusal(error)
  }
}

/** The user of the claims. Its id and the types of the rest are checked where users are admitted, too. */
function userOf(claims: JWTPayload, mapped: Partial<User>): User {
  if (typeof mapped !== 'object' || mapped === null) {
    throw refusal(new Error(`mapUser gave ${kindOf(mapped)}`))
  }
  const {
    userId = claims.sub,
    role = claims['role'] ?? (claims['role'] === undefined ? 'user' : null),
    permissions = claims['permissions'] ?? (claims['permissions'] === undefined ? [] : null),
    expiresAt = claims.exp === undefined ? undefined : claims.exp * 1_000,
    ...rest
  } = mapped
  if (userId === undefined)
    throw refusal(new Error('the token has no `sub`, and no `mapUser` is set'))
  return { ...rest, userId, role, permissions, expiresAt } as User
}

function refusal(cause: unknown): RealtimeError {
  return new RealtimeError('unauthenticated', 'the server does not accept this token', { cause })
}

/** The key of a secret, made once: from bytes it would be made for each token, at twice the cost of the check. */
function keyOf(value: unknown): () => Promise<CryptoKey> {
  const given = typeof value === 'string' ? new TextEncoder().encode(value) : value
  if (!(given instanceof Uint8Array)) {
    throw invalidOption('jwtAuth.secret', 'a string or bytes', value)
  }
  // The value itself is never shown.
  if (given.length === 0) throw invalidOption('jwtAuth.secret', 'a string or bytes', 'nothing')
  const secret = given.slice()
  const hmac = { name: 'HMAC', hash: 'SHA-256' }
  let key: Promise<CryptoKey> | null = null
  return () => (key ??= subtle.importKey('raw', secret, hmac, false, ['verify']))
}

function expectedOf(name: string, value: unknown): string | string[] | null {
  if (value === false) return null
  if (typeof value === 'string' && value !== '') return value
  if (Array.isArray(value) && value.length > 0 && value.every(isName)) return [...value]
  throw invalidOption(name, 'a string, a list of strings, or explicitly false', value)
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}
