import { describe, expect, test } from 'vitest'
import { decodeConnected } from './server-events.js'

const limits = {
  maxPayloadBytes: 65_536,
  idempotencyWindowMs: 300_000,
  publishesPerSecond: 100,
  publishBurst: 200,
  publishBytesPerSecond: 1_048_576,
  publishBytesBurst: 2_097_152,
  requestsPerSecond: 100,
  requestBurst: 1_000,
  maxPageMessages: 500,
}
const connected = {
  connectionId: 'c1',
  user: { userId: 'alice', role: 'user', permissions: ['p'] },
  protocol: 1,
  serverTime: 5,
  windowEpoch: 'w',
  heartbeatInterval: 30_000,
  limits,
  rules: [{ match: 'a:*', subscribe: 'anyone', publish: { role: 'staff' } }],
}
const rulesOf = (rules: unknown) => decodeConnected({ ...connected, rules }).rules

describe('connected', () => {
  test('[W20] is taken over whole; unknown fields go', () => {
    expect(
      decodeConnected({
        ...connected,
        later: 1,
        limits: { ...limits, later: 1 },
        user: { ...connected.user, claim: 1 },
      }),
    ).toStrictEqual(connected)
    expect(decodeConnected({ ...connected, expiresAt: 9 })).toMatchObject({ expiresAt: 9 })
  })

  test.each(
    ['connectionId', 'user', 'protocol', 'serverTime', 'windowEpoch', 'heartbeatInterval'].map(
      (name) => [name],
    ),
  )('[W20] without %s it is invalid_message', (name) => {
    expect(() => decodeConnected({ ...connected, [name]: undefined })).toThrow(
      expect.objectContaining({ code: 'invalid_message' }),
    )
  })

  test.each(Object.keys(limits).map((name) => [name]))(
    '[W20] without limits.%s it is invalid_message',
    (name) => {
      expect(() =>
        decodeConnected({ ...connected, limits: { ...limits, [name]: undefined } }),
      ).toThrow(name)
    },
  )

  test.each([[undefined], [null], ['alice'], [{ userId: 'a', role: 'user' }]])(
    '[W20] the user %j is none',
    (user) => {
      expect(() => decodeConnected({ ...connected, user })).toThrow(/user/)
    },
  )
})

describe('connected.rules', () => {
  test('[R8] rules keep their order, with functions as ask and what differs from the defaults', () => {
    const rules = [
      { match: 'b', subscribe: 'ask', publish: 'nobody' },
      {
        match: 'a:{x}',
        subscribe: { permission: 'p' },
        publish: 'admin',
        admin: false,
        delivery: 'ephemeral',
        overflow: 'latest',
        binary: true,
      },
    ]
    expect(rulesOf(rules)).toStrictEqual(rules)
  })

  test('[R8] defaults that are spelled out change nothing', () => {
    expect(
      rulesOf([
        {
          match: 'a',
          subscribe: 'anyone',
          publish: 'anyone',
          admin: true,
          delivery: 'recoverable',
          overflow: 'recover',
          binary: false,
        },
      ]),
    ).toStrictEqual([{ match: 'a', subscribe: 'anyone', publish: 'anyone' }])
  })

  test.each([
    ['null', null],
    ['nothing', undefined],
    ['no list', { match: 'a' }],
    ['a rule that is none', [7]],
    ['a word of a later version', [{ match: 'a', subscribe: 'friends', publish: 'anyone' }]],
    [
      'a right of a later version',
      [{ match: 'a', subscribe: { role: 'a', and: 1 }, publish: 'ask' }],
    ],
    ['a pattern of a later version', [{ match: 'a:**:b', subscribe: 'anyone', publish: 'anyone' }]],
    ['no right', [{ match: 'a', subscribe: 'anyone' }]],
  ])('[R8] %s: the client does not know the rules, and asks', (_what, rules) => {
    expect(rulesOf(rules)).toBeNull()
  })
})
