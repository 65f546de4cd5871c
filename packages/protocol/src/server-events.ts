import { arrayOf, fieldsOf, numberOf, stringOf, type Fields } from './decoding.js'
import { RealtimeError } from './errors.js'
import { compilePattern } from './pattern.js'
import { parseAccess, type Access, type WireRule } from './permissions.js'

/** The wire protocol's version [W2]. */
export const PROTOCOL_VERSION = 1

/** The limits that the server tells its clients [W20]; meanings and defaults in contract section 7. */
export interface ConnectedLimits {
  maxPayloadBytes: number
  idempotencyWindowMs: number
  publishesPerSecond: number
  publishBurst: number
  publishBytesPerSecond: number
  publishBytesBurst: number
  requestsPerSecond: number
  requestBurst: number
  maxPageMessages: number
}

const LIMIT_NAMES: readonly (keyof ConnectedLimits)[] = [
  'maxPayloadBytes',
  'idempotencyWindowMs',
  'publishesPerSecond',
  'publishBurst',
  'publishBytesPerSecond',
  'publishBytesBurst',
  'requestsPerSecond',
  'requestBurst',
  'maxPageMessages',
]

/** The first event of every admitted connection [W3][W20]. */
export interface ConnectedEvent {
  connectionId: string
  user: { userId: string; role: string; permissions: string[] }
  protocol: number
  /** ms since the Unix epoch. */
  serverTime: number
  /** Opaque; differs where the idempotency window was lost [P4]. */
  windowEpoch: string
  /** ms */
  heartbeatInterval: number
  /** ms since the Unix epoch */
  expiresAt?: number
  limits: ConnectedLimits
  /** The application's rules in order, or null where the server keeps them to itself [R8]. */
  rules: WireRule[] | null
}

/** @throws RealtimeError `invalid_message` */
export function decodeConnected(value: unknown): ConnectedEvent {
  const fields = fieldsOf(value, 'connected')
  const user = fieldsOf(fields['user'], 'connected.user')
  const expiresAt = fields['expiresAt']
  return {
    connectionId: stringOf(fields['connectionId'], 'connectionId'),
    user: {
      userId: stringOf(user['userId'], 'user.userId'),
      role: stringOf(user['role'], 'user.role'),
      permissions: arrayOf(user['permissions'], 'user.permissions').map((permission) =>
        stringOf(permission, 'a permission'),
      ),
    },
    protocol: numberOf(fields['protocol'], 'protocol'),
    serverTime: numberOf(fields['serverTime'], 'serverTime'),
    windowEpoch: stringOf(fields['windowEpoch'], 'windowEpoch'),
    heartbeatInterval: numberOf(fields['heartbeatInterval'], 'heartbeatInterval'),
    ...(expiresAt !== undefined && { expiresAt: numberOf(expiresAt, 'expiresAt') }),
    limits: decodeLimits(fieldsOf(fields['limits'], 'connected.limits')),
    rules: decodeRules(fields['rules']),
  }
}

function decodeLimits(fields: Fields): ConnectedLimits {
  const entries = LIMIT_NAMES.map(
    (name) => [name, numberOf(fields[name], `limits.${name}`)] as const,
  )
  return Object.fromEntries(entries) as unknown as ConnectedLimits
}

/** Rules that this version cannot read are as good as kept back: the server is asked [R8]. */
function decodeRules(value: unknown): WireRule[] | null {
  if (!Array.isArray(value)) return null
  try {
    return value.map((rule: unknown) => decodeRule(fieldsOf(rule, 'a rule')))
  } catch (error) {
    if (error instanceof RealtimeError) return null
    throw error
  }
}

function decodeRule(fields: Fields): WireRule {
  const { admin, delivery, overflow, binary } = fields
  return {
    match: compilePattern(fields['match']).source,
    subscribe: accessOf(fields['subscribe']),
    publish: accessOf(fields['publish']),
    ...(admin === false && { admin: false }),
    ...(delivery === 'ephemeral' && { delivery: 'ephemeral' as const }),
    ...(overflow === 'latest' && { overflow: 'latest' as const }),
    ...(binary === true && { binary: true }),
  }
}

function accessOf(value: unknown): Access | 'ask' {
  return value === 'ask' ? 'ask' : parseAccess(value, 'a rule')
}
