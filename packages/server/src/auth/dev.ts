import { RealtimeError, userIdFault, type User } from '@bmt-central/realtime-protocol'
import type { Authenticate, Handshake } from './authenticate.js'

/** Tells the service what it has: development users go with a check of `Host` [W9]. */
const DEV_HOSTS = Symbol('devAuth.hosts')

export interface DevAuthOptions {
  /** Names that `Host` may have besides `localhost` and the loopback addresses. Default none. */
  readonly hosts?: readonly string[]
}

/**
 * Users for development, who are who they say they are: tokens `dev:<userId>[:<role>[:<permission>,…]]`
 * (role `user` and no permissions where left out). Admits peers on loopback only. Never for
 * production: everybody who reaches the port can be anybody.
 *
 * Refuses with `unauthenticated`.
 * @throws RealtimeError `invalid_options` where NODE_ENV is `production`
 */
export function devAuth({ hosts = [] }: DevAuthOptions = {}): Authenticate {
  if (process.env['NODE_ENV'] === 'production') {
    throw new RealtimeError(
      'invalid_options',
      'devAuth admits everybody as anybody and is not for NODE_ENV=production: use jwtAuth',
    )
  }
  const authenticate: Authenticate = (handshake) => {
    if (!isLoopback(handshake.address) || isForwarded(handshake)) {
      throw new RealtimeError(
        'unauthenticated',
        'dev tokens are accepted from this machine only (loopback)',
      )
    }
    return devUser(handshake.token)
  }
  return Object.assign(authenticate, { [DEV_HOSTS]: hosts })
}

/** The hosts that `devAuth` was given; null where connections are not authenticated by it. */
export function devHostsOf(authenticate: Authenticate): readonly string[] | null {
  return (authenticate as { [DEV_HOSTS]?: readonly string[] })[DEV_HOSTS] ?? null
}

function devUser(token: string | null): User {
  const [scheme, userId, role = 'user', permissions = '', ...rest] = (token ?? '').split(':')
  const expected = 'expected dev:<userId>[:<role>[:<permission>,…]]'
  if (scheme !== 'dev' || rest.length > 0 || role === '') {
    throw new RealtimeError('unauthenticated', `this is no dev token: ${expected}`)
  }
  const fault = userIdFault(userId)
  if (fault !== null) throw new RealtimeError('unauthenticated', `${fault}: ${expected}`)
  return {
    userId: userId ?? '',
    role,
    permissions: permissions.split(',').filter((permission) => permission !== ''),
  }
}

const IPV4_LOOPBACK = /^(?:::ffff:)?127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/i

/** Whether an address is this machine's own. */
export function isLoopback(address: string): boolean {
  return address === '::1' || IPV4_LOOPBACK.test(address)
}

/** A proxy or tunnel on this machine that says of itself that it brings somebody else. */
function isForwarded({ headers }: Handshake): boolean {
  if (headers['forwarded'] !== undefined) return true
  const value = headers['x-forwarded-for']
  if (value === undefined) return false
  return String(value)
    .split(',')
    .some((address) => !isLoopback(address.trim()))
}
