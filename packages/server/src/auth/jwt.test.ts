import { createHmac } from 'node:crypto'
import { RealtimeError, silentLogger, type User } from '@bmt-central/realtime-protocol'
import { virtualRuntime } from '@bmt-central/realtime-protocol/testing'
import { describe, expect, test } from 'vitest'
import { invalidOptionsOf } from '../testing/refusal.js'
import { admit, type Handshake } from './authenticate.js'
import { jwtAuth, type JwtAuthOptions } from './jwt.js'

const SECRET = 'a secret of more than thirty-two bytes'
const runtime = virtualRuntime()
const NOW_S = runtime.wallNow() / 1_000

const OPTIONS: JwtAuthOptions = {
  secret: SECRET,
  issuer: 'https://login.example',
  audience: 'chat',
  runtime,
}
const CLAIMS = { iss: 'https://login.example', aud: 'chat', sub: 'ann', exp: NOW_S + 60 }
const HEADER = { alg: 'HS256', typ: 'JWT' }

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

/** Signed by hand, so that every part can be wrong. */
function tokenOf(
  claims: unknown,
  {
    header = HEADER,
    secret = SECRET,
    hash = 'sha256',
  }: { header?: object; secret?: string; hash?: string } = {},
): string {
  const signed = `${part(header)}.${part(claims)}`
  return `${signed}.${createHmac(hash, secret).update(signed).digest('base64url')}`
}

async function userOf(token: string | null, options: Partial<JwtAuthOptions> = {}): Promise<User> {
  const handshake: Handshake = {
    token,
    auth: {},
    headers: {},
    address: '192.0.2.1',
    connectionId: 'c',
    client: null,
  }
  return jwtAuth({ ...OPTIONS, ...options })(handshake)
}

async function refusalOf(token: string | null, options: Partial<JwtAuthOptions> = {}) {
  const error: unknown = await userOf(token, options).then(
    () => 'admitted',
    (thrown: unknown) => thrown,
  )
  expect(error).toBeInstanceOf(RealtimeError)
  return error as RealtimeError
}

test('[R7] sub, role, permissions and exp are the user; defaults are role user and no permissions', async () => {
  expect(await userOf(tokenOf(CLAIMS))).toEqual({
    userId: 'ann',
    role: 'user',
    permissions: [],
    expiresAt: CLAIMS.exp * 1_000,
  })
  const claims = { ...CLAIMS, role: 'admin', permissions: ['a', 'b'], team: 'blue' }
  expect(await userOf(tokenOf(claims))).toEqual({
    userId: 'ann',
    role: 'admin',
    permissions: ['a', 'b'],
    expiresAt: CLAIMS.exp * 1_000,
  })
})

test('a secret in bytes is the same secret, and is copied', async () => {
  const secret = new TextEncoder().encode(SECRET)
  const authenticate = jwtAuth({ ...OPTIONS, secret })
  secret.fill(0)
  const handshake = { token: tokenOf(CLAIMS), connectionId: 'c' } as Handshake
  expect(await authenticate(handshake)).toMatchObject({ userId: 'ann' })
})

describe('[P10] exp', () => {
  test('[P10] in the past is token_expired, retryable, from the very instant on', async () => {
    for (const exp of [NOW_S, NOW_S - 1, 0, -1]) {
      const { code, retryable } = await refusalOf(tokenOf({ ...CLAIMS, exp }))
      expect([code, retryable]).toEqual(['token_expired', true])
    }
    expect(await userOf(tokenOf({ ...CLAIMS, exp: NOW_S + 1 }))).toMatchObject({ userId: 'ann' })
  })

  test('[P10] the clock is the runtime: time passes, and the same token expires', async () => {
    const clock = virtualRuntime()
    const token = tokenOf({ ...CLAIMS, exp: NOW_S + 60 })
    await clock.advance(59_999)
    expect(await userOf(token, { runtime: clock })).toMatchObject({ userId: 'ann' })
    await clock.advance(1)
    expect((await refusalOf(token, { runtime: clock })).code).toBe('token_expired')
  })

  test('[P10] clocks may be apart by clockToleranceMs', async () => {
    const token = tokenOf({ ...CLAIMS, exp: NOW_S - 4 })
    const options = { clockToleranceMs: 5_000 }
    expect(await userOf(token, options)).toMatchObject({ expiresAt: (NOW_S - 4) * 1_000 })
    expect((await refusalOf(tokenOf({ ...CLAIMS, exp: NOW_S - 5 }), options)).code).toBe(
      'token_expired',
    )
  })

  test('[P10] may be in the year 9999', async () => {
    const exp = 253_402_300_799
    expect((await userOf(tokenOf({ ...CLAIMS, exp }))).expiresAt).toBe(exp * 1_000)
  })

  test('a forged token is not told that it has expired', async () => {
    const token = tokenOf({ ...CLAIMS, exp: NOW_S - 1 }, { secret: 'guessed' })
    expect((await refusalOf(token)).code).toBe('unauthenticated')
  })
})

describe('[W2] refused with unauthenticated and the same message for all', () => {
  const { iss: _iss, ...withoutIssuer } = CLAIMS
  const { aud: _aud, ...withoutAudience } = CLAIMS
  const { exp: _exp, ...withoutExpiry } = CLAIMS
  const { sub: _sub, ...withoutSubject } = CLAIMS
  const good = tokenOf(CLAIMS)
  const [head = '', body = '', signature = ''] = good.split('.')
  test.each<[string, string | null]>([
    ['no token', null],
    ['no JWT', 'hello'],
    ['empty parts', '..'],
    ['two parts', `${head}.${body}`],
    ['no signature', `${head}.${body}.`],
    ['a signature cut short', good.slice(0, -2)],
    ['more behind it', `${good}.x`],
    ['another secret', tokenOf(CLAIMS, { secret: 'another secret of thirty-two bytes!' })],
    ['another body under the signature', `${head}.${part({ ...CLAIMS, sub: 'ben' })}.${signature}`],
    ['another header over it', `${part({ ...HEADER, kid: '1' })}.${body}.${signature}`],
    ['alg none', `${part({ alg: 'none' })}.${body}.`],
    ['alg None, signed', tokenOf(CLAIMS, { header: { alg: 'None' } })],
    ['no alg', tokenOf(CLAIMS, { header: {} })],
    ['HS512 with the right secret', tokenOf(CLAIMS, { header: { alg: 'HS512' }, hash: 'sha512' })],
    ['RS256 in the header', tokenOf(CLAIMS, { header: { alg: 'RS256' } })],
    ['an unknown crit', tokenOf(CLAIMS, { header: { ...HEADER, crit: ['exp2'], exp2: 1 } })],
    ['an empty crit', tokenOf(CLAIMS, { header: { ...HEADER, crit: [] } })],
    ['an unencoded payload', tokenOf(CLAIMS, { header: { ...HEADER, crit: ['b64'], b64: false } })],
    ['a list as claims', tokenOf([CLAIMS])],
    ['a text as claims', tokenOf('ann')],
    ['no exp', tokenOf(withoutExpiry)],
    ['a text as exp', tokenOf({ ...CLAIMS, exp: String(CLAIMS.exp) })],
    ['an nbf in the future', tokenOf({ ...CLAIMS, nbf: NOW_S + 1 })],
    ['a text as nbf', tokenOf({ ...CLAIMS, nbf: '0' })],
    ['another issuer', tokenOf({ ...CLAIMS, iss: 'https://login.example.evil' })],
    ['no issuer', tokenOf(withoutIssuer)],
    ['another audience', tokenOf({ ...CLAIMS, aud: 'mail' })],
    ['no audience', tokenOf(withoutAudience)],
    ['no sub', tokenOf(withoutSubject)],
    ['17 KiB', tokenOf({ ...CLAIMS, team: 'x'.repeat(16_384) })],
  ])('[W2] %s', async (_what, token) => {
    const { code, message, retryable } = await refusalOf(token)
    expect(code).toBe('unauthenticated')
    expect(message).toBe('the server does not accept this token')
    expect(retryable).toBe(false)
  })

  test('the reason is in the cause, which the log gets', async () => {
    const { cause } = await refusalOf(tokenOf({ ...CLAIMS, aud: 'mail' }))
    expect(String(cause)).toContain('aud')
    expect(String(cause)).not.toContain('mail')
  })
})

test.each<[string, object]>([
  ['a number as role', { role: 7 }],
  ['null as role', { role: null }],
  ['a list as role', { role: ['admin'] }],
  ['an empty role', { role: '' }],
  ['a text as permissions', { permissions: 'private_channel_access' }],
  ['null as permissions', { permissions: null }],
  ['numbers as permissions', { permissions: ['a', 1] }],
  ['an object as permissions', { permissions: { length: 1, 0: 'a' } }],
  ['a number as sub', { sub: 7 }],
  ['a sub that is no user id', { sub: 'ann smith' }],
  ['an exp in ms', { exp: NOW_S * 1_000 }],
])('[W2][T3] %s in a genuine token admits nobody', async (_what, odd) => {
  const handshake = { token: tokenOf({ ...CLAIMS, ...odd }), connectionId: 'c' } as Handshake
  const options = { authenticate: jwtAuth(OPTIONS), anonymous: true, handshakeTimeoutMs: 10_000 }
  const admitted = admit(handshake, options, { runtime, logger: silentLogger })
  await expect(admitted).rejects.toMatchObject({
    code: 'unauthenticated',
    message: 'the server does not accept this token',
  })
})

test('several issuers and audiences; one of each is enough', async () => {
  const options = { issuer: ['https://a', 'https://b'], audience: ['chat', 'mail'] }
  const token = tokenOf({ ...CLAIMS, iss: 'https://b', aud: ['mail', 'other'] })
  expect(await userOf(token, options)).toMatchObject({ userId: 'ann' })
  expect((await refusalOf(tokenOf({ ...CLAIMS, iss: 'https://c' }), options)).code).toBe(
    'unauthenticated',
  )
})

test('issuer and audience that are explicitly false are not looked at', async () => {
  const token = tokenOf({ sub: 'ann', exp: CLAIMS.exp })
  expect(await userOf(token, { issuer: false, audience: false })).toMatchObject({ userId: 'ann' })
})

describe('mapUser', () => {
  test('[T3] reads in another way what it names, and the rest as usual', async () => {
    const claims = { ...CLAIMS, sub: 'auth0|7 x', mail: 'ann@example.com', role: 7, groups: ['a'] }
    const mapUser: JwtAuthOptions['mapUser'] = async ({ mail, groups }) => ({
      userId: String(mail),
      role: (groups as string[]).includes('a') ? 'admin' : 'user',
      team: 'blue',
    })
    expect(await userOf(tokenOf(claims), { mapUser })).toEqual({
      userId: 'ann@example.com',
      role: 'admin',
      permissions: [],
      expiresAt: CLAIMS.exp * 1_000,
      team: 'blue',
    })
  })

  test('an expiry that it leaves undefined is that of the token', async () => {
    const mapUser = () => ({ userId: 'ann', expiresAt: undefined }) as unknown as User
    expect((await userOf(tokenOf(CLAIMS), { mapUser })).expiresAt).toBe(CLAIMS.exp * 1_000)
    const longer = () => ({ expiresAt: 9_999 })
    expect((await userOf(tokenOf(CLAIMS), { mapUser: longer })).expiresAt).toBe(9_999)
  })

  test('is not asked about a token that is not accepted, and what it throws refuses', async () => {
    let asked = 0
    const mapUser = (): never => {
      asked += 1
      throw new RealtimeError('token_expired', 'the session is over')
    }
    await refusalOf(tokenOf(CLAIMS, { secret: 'guessed' }), { mapUser })
    expect(asked).toBe(0)
    expect((await refusalOf(tokenOf(CLAIMS), { mapUser })).message).toBe('the session is over')
    const nothing = () => undefined as unknown as User
    expect((await refusalOf(tokenOf(CLAIMS), { mapUser: nothing })).code).toBe('unauthenticated')
  })
})

describe('options that are refused, naming the option', () => {
  test.each<[string, unknown, string]>([
    ['none', undefined, 'the options of jwtAuth must be an object'],
    ['no secret', { ...OPTIONS, secret: undefined }, 'jwtAuth.secret must be'],
    ['an empty secret', { ...OPTIONS, secret: '' }, 'jwtAuth.secret must be'],
    ['a number as secret', { ...OPTIONS, secret: 5 }, 'jwtAuth.secret must be'],
    ['no issuer', { ...OPTIONS, issuer: undefined }, 'jwtAuth.issuer must be'],
    ['true as issuer', { ...OPTIONS, issuer: true }, 'explicitly false, got true'],
    ['no audience', { ...OPTIONS, audience: undefined }, 'jwtAuth.audience must be'],
    ['an empty audience', { ...OPTIONS, audience: '' }, 'jwtAuth.audience must be'],
    ['an empty list', { ...OPTIONS, audience: [] }, 'jwtAuth.audience must be'],
    ['mapUser', { ...OPTIONS, mapUser: {} }, 'jwtAuth.mapUser must be a function'],
    ['clockToleranceMs', { ...OPTIONS, clockToleranceMs: -1 }, 'jwtAuth.clockToleranceMs must be'],
    ['an unknown one', { ...OPTIONS, algorithm: 'HS256' }, 'jwtAuth.algorithm is unknown'],
    ['publicKey', { ...OPTIONS, publicKey: 'x' }, 'jwtAuth.publicKey comes later'],
    ['jwksUrl', { ...OPTIONS, jwksUrl: 'x' }, 'jwtAuth.jwksUrl comes later'],
    ['algorithms', { ...OPTIONS, algorithms: ['none'] }, 'jwtAuth.algorithms comes later'],
  ])('%s', (_what, options, expected) => {
    expect(invalidOptionsOf(() => jwtAuth(options as JwtAuthOptions))).toContain(expected)
  })

  test('the secret is never shown', () => {
    const secret = { value: 'hunter2' } as unknown as string
    expect(invalidOptionsOf(() => jwtAuth({ ...OPTIONS, secret }))).not.toContain('hunter2')
  })
})
