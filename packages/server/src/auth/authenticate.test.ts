import { RealtimeError, type User } from '@bmt-central/realtime-protocol'
import { virtualRuntime } from '@bmt-central/realtime-protocol/testing'
import { describe, expect, test } from 'vitest'
import { refusalOf } from '../testing/refusal.js'
import {
  admit,
  parseClientInfo,
  parseToken,
  type AdmissionOptions,
  type Authenticate,
  type Handshake,
} from './authenticate.js'

const HANDSHAKE: Handshake = {
  token: 'a-token-that-nobody-may-log',
  auth: {},
  headers: {},
  address: '192.0.2.7',
  connectionId: 'c0nnection',
  client: null,
}

function setUp() {
  const runtime = virtualRuntime()
  const logged: { level: string; event: string; fields: unknown }[] = []
  const log =
    (level: string) =>
    (event: string, fields?: unknown): void =>
      void logged.push({ level, event, fields })
  const logger = { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') }
  const admitWith = (
    authenticate: unknown,
    handshake: Partial<Handshake> = {},
    options: Partial<AdmissionOptions> = {},
  ): Promise<User> =>
    admit(
      { ...HANDSHAKE, ...handshake },
      {
        authenticate: authenticate as Authenticate,
        anonymous: false,
        handshakeTimeoutMs: 10_000,
        ...options,
      },
      { runtime, logger },
    )
  return { runtime, logged, admitWith }
}

const ANN = { userId: 'ann', role: 'user' }

test('[R7] a user is taken over with role, permissions, expiry and claims, as a copy', async () => {
  const { admitWith, runtime } = setUp()
  const given = {
    ...ANN,
    permissions: ['read'],
    expiresAt: runtime.wallNow() + 1,
    team: 'blue',
  }
  const user = await admitWith(() => given)
  expect(user).toEqual(given)
  given.permissions.push('write')
  expect(user.permissions).toEqual(['read'])
  expect(await admitWith(async () => ANN)).toEqual({ ...ANN, permissions: [] })
})

test('what a class of the application says of a user is read from its getters', async () => {
  class Account {
    get userId(): string {
      return 'ann'
    }
    get role(): string {
      return 'editor'
    }
  }
  expect(await setUp().admitWith(() => new Account())).toEqual({
    userId: 'ann',
    role: 'editor',
    permissions: [],
  })
})

describe('[R7] without a token', () => {
  const anonymous = true
  test('an anonymous user, where the application admits them, without asking', async () => {
    const { admitWith } = setUp()
    const ask = () => Promise.reject(new Error('asked'))
    expect(await admitWith(ask, { token: null }, { anonymous })).toEqual({
      userId: 'anonymous-c0nnection',
      role: 'anonymous',
      permissions: [],
    })
  })

  test('a bad token is not as good as none', async () => {
    const { admitWith } = setUp()
    const refuse = () => Promise.reject(new Error('bad token'))
    await expect(admitWith(refuse, {}, { anonymous })).rejects.toMatchObject({
      code: 'unauthenticated',
    })
  })

  test('where they are not admitted the application is asked: it may know a cookie', async () => {
    const { admitWith } = setUp()
    const byCookie: Authenticate = ({ headers, token }) => {
      if (token === null && headers['cookie'] === 'session=ann') return ANN
      throw new Error('no session')
    }
    const headers = { cookie: 'session=ann' }
    expect(await admitWith(byCookie, { token: null, headers })).toMatchObject({ userId: 'ann' })
    await expect(admitWith(byCookie, { token: null })).rejects.toMatchObject({
      code: 'unauthenticated',
    })
  })
})

describe('[P10] expiry', () => {
  test('[P10] a user who has expired is told to fetch another token', async () => {
    const { admitWith, runtime } = setUp()
    const expiresAt = runtime.wallNow()
    await expect(admitWith(() => ({ ...ANN, expiresAt }))).rejects.toMatchObject({
      code: 'token_expired',
      retryable: true,
    })
    expect((await admitWith(() => ({ ...ANN, expiresAt: expiresAt + 1 }))).userId).toBe('ann')
  })

  test('[P10] any expiry up to the year 9999 is taken; a later one is `exp` in ms, and refused', async () => {
    const { admitWith, logged } = setUp()
    const last = Date.UTC(9999, 11, 31, 23, 59, 59, 999)
    expect((await admitWith(() => ({ ...ANN, expiresAt: last }))).expiresAt).toBe(last)
    await expect(admitWith(() => ({ ...ANN, expiresAt: last + 1 }))).rejects.toMatchObject({
      code: 'unauthenticated',
    })
    expect(JSON.stringify(logged)).toContain('is in seconds, not ms')
  })
})

describe('[T3] user ids', () => {
  test.each([
    ['a space', 'ann smith', '" "|U\\+0020'],
    ['a colon', 'user:1', '":" \\(U\\+003A\\)'],
    ['a zero-width space', 'ann\u200b', 'U\\+200B'],
    ['a slash that may be, beside a star that may not', 'a/b*', '"\\*" \\(U\\+002A\\)'],
  ])('[T3] %s is refused, and the log names it and `mapUser`', async (_what, userId, character) => {
    const { admitWith, logged } = setUp()
    await expect(admitWith(() => ({ ...ANN, userId }))).rejects.toMatchObject({
      code: 'unauthenticated',
      message: 'the server does not accept this token',
    })
    expect(logged.map(({ level }) => level)).toEqual(['warn'])
    const { fault } = logged.map(({ fields }) => fields as { fault: string })[0] ?? { fault: '' }
    expect(fault).toMatch(new RegExp(character))
    expect(fault).toContain('mapUser')
  })

  test.each([
    ['empty', ''],
    ['129 characters', 'x'.repeat(129)],
    ['not in NFC', 'Zoe\u0308'],
    ['a number', 5],
    ['nothing', undefined],
  ])('[T3] %s is refused', async (_what, userId) => {
    await expect(setUp().admitWith(() => ({ ...ANN, userId }))).rejects.toMatchObject({
      code: 'unauthenticated',
    })
  })

  test.each(['x'.repeat(128), 'Zo\u00eb', 'ann@example.com', '日本', '0'])(
    '[T3] %s is taken',
    async (userId) => {
      expect((await setUp().admitWith(() => ({ ...ANN, userId }))).userId).toBe(userId)
    },
  )
})

test.each<[string, unknown]>([
  ['nothing', undefined],
  ['null', null],
  ['a string', 'ann'],
  ['no role', { userId: 'ann' }],
  ['an empty role', { userId: 'ann', role: '' }],
  ['a number as role', { userId: 'ann', role: 1 }],
  ['a string of permissions', { ...ANN, permissions: 'read' }],
  ['permissions that are no strings', { ...ANN, permissions: ['read', 1] }],
  ['null as permissions', { ...ANN, permissions: null }],
  ['a date as expiry', { ...ANN, expiresAt: new Date(0) }],
  ['a string as expiry', { ...ANN, expiresAt: '2030-01-01' }],
  ['an endless expiry', { ...ANN, expiresAt: Infinity }],
  ['NaN as expiry', { ...ANN, expiresAt: NaN }],
])('[W2] an application that gives %s admits nobody', async (_what, given) => {
  const { admitWith, logged } = setUp()
  await expect(admitWith(() => given)).rejects.toMatchObject({
    code: 'unauthenticated',
    retryable: false,
  })
  expect(logged.map(({ level }) => level)).toEqual(['warn'])
})

describe('[P7] when the application throws', () => {
  test.each<[string, Authenticate]>([
    [
      'at once',
      () => {
        throw new TypeError('users is undefined')
      },
    ],
    ['later', () => Promise.reject(new TypeError('users is undefined'))],
  ])('%s: unauthenticated, with the reason in the log alone', async (_when, authenticate) => {
    const { admitWith, logged } = setUp()
    const refused = admitWith(authenticate)
    await expect(refused).rejects.toMatchObject({
      code: 'unauthenticated',
      message: 'the server does not accept this token',
    })
    const reason = 'TypeError: users is undefined'
    expect(logged).toEqual([
      {
        level: 'warn',
        event: 'authentication refused',
        fields: { connectionId: 'c0nnection', address: '192.0.2.7', reason },
      },
    ])
  })

  test('a RealtimeError is the answer, and its cause is logged, not sent', async () => {
    const { admitWith, logged } = setUp()
    const own = new RealtimeError('rate_limited', 'too many logins', {
      retryAfterMs: 5_000,
      cause: new Error('bucket of ann'),
    })
    await expect(admitWith(() => Promise.reject(own))).rejects.toBe(own)
    expect(logged[0]?.fields).toMatchObject({
      reason: 'rate_limited: too many logins (Error: bucket of ann)',
    })
  })

  test('something that is no error, or its own cause', async () => {
    const { admitWith, logged } = setUp()
    const circular = new Error('round')
    circular.cause = circular
    for (const thrown of ['no session', circular]) {
      const refuse = (): never => {
        throw thrown as Error
      }
      await expect(admitWith(refuse)).rejects.toMatchObject({ code: 'unauthenticated' })
    }
    expect(logged[0]?.fields).toMatchObject({ reason: 'Error: no session' })
    expect(JSON.stringify(logged[1]?.fields)).toContain('Error: round')
  })

  test('the token is in no log', async () => {
    const { admitWith, logged } = setUp()
    await expect(admitWith(() => Promise.reject(new Error('no')))).rejects.toThrow(
      'does not accept',
    )
    await expect(admitWith(() => ({ userId: '*', role: 'user' }))).rejects.toThrow(
      'does not accept',
    )
    expect(logged).toHaveLength(2)
    expect(JSON.stringify(logged)).not.toContain(HANDSHAKE.token)
  })
})

test('[L9] authentication that takes too long is refused, retryable, and leaves no timer behind', async () => {
  const { admitWith, runtime } = setUp()
  let settled: unknown = 'waiting'
  const slow = admitWith(() => new Promise<User>(() => undefined)).catch((error: unknown) => {
    settled = error
  })
  await runtime.advance(9_999)
  expect(settled).toBe('waiting')
  await runtime.advance(1)
  await slow
  expect(settled).toMatchObject({ code: 'internal_error', retryable: true })

  expect((await admitWith(async () => ANN)).userId).toBe('ann')
  await expect(admitWith(() => Promise.reject(new Error('no')))).rejects.toThrow('does not accept')
  expect(runtime.pendingTimers).toBe(0)
})

describe('[W2] the handshake', () => {
  test.each<[unknown, string | null]>([
    [undefined, null],
    [null, null],
    ['', null],
    ['x', 'x'],
  ])('the token %j', (token, expected) => {
    expect(parseToken({ token })).toBe(expected)
  })

  test.each([5, true, {}, ['x']])('[W2] the token %j is refused', (token) => {
    expect(refusalOf(() => parseToken({ token })).code).toBe('unauthenticated')
  })

  test.each([undefined, null, 1])('[W2] protocol %j is 1', (protocol) => {
    expect(parseClientInfo({ protocol }).protocol).toBe(1)
  })

  test.each([2, 0, '1', true, {}])('[W2] protocol %j is refused', (protocol) => {
    const { code, retryable } = refusalOf(() => parseClientInfo({ protocol }))
    expect([code, retryable]).toEqual(['protocol_unsupported', false])
  })

  const instance = 'A-z_0123456789ab'
  test.each<[unknown, unknown]>([
    [undefined, null],
    ['web', null],
    [{}, {}],
    [
      { name: '@bmt-central/realtime', version: '0.1.0+dev', instance },
      { name: '@bmt-central/realtime', version: '0.1.0+dev', instance },
    ],
    [{ name: 'x'.repeat(64), version: 'x'.repeat(65) }, { name: 'x'.repeat(64) }],
    [{ name: '<script>', version: 'a b' }, {}],
    [{ name: 'アプリ', version: '' }, { name: 'アプリ' }],
    [{ name: 5, version: {}, instance: 5 }, {}],
    [{ instance: instance.slice(1) }, {}],
    [{ instance: 'x'.repeat(64) }, { instance: 'x'.repeat(64) }],
    [{ instance: 'x'.repeat(65) }, {}],
    [{ instance: `${instance}:` }, {}],
    [{ instance: `${instance}\n` }, {}],
    [{ attempt: 7 }, { attempt: 7 }],
    [{ attempt: -1 }, {}],
    [{ attempt: 1.5 }, {}],
    [{ attempt: '1' }, {}],
  ])('[W2] of the client %j is kept %j', (client, expected) => {
    expect(parseClientInfo({ client }).client).toEqual(expected)
  })
})
