import { afterEach, describe, expect, test, vi } from 'vitest'
import { invalidOptionsOf, refusalOf } from '../testing/refusal.js'
import type { Handshake } from './authenticate.js'
import { devAuth } from './dev.js'

const handshakeOf = (token: string | null, more: Partial<Handshake> = {}): Handshake => ({
  token,
  auth: {},
  headers: {},
  address: '127.0.0.1',
  connectionId: 'c',
  client: null,
  ...more,
})

afterEach(() => vi.unstubAllEnvs())

test.each([
  ['dev:ann', { userId: 'ann', role: 'user', permissions: [] }],
  ['dev:ann:admin', { userId: 'ann', role: 'admin', permissions: [] }],
  ['dev:ann:user:a,b', { userId: 'ann', role: 'user', permissions: ['a', 'b'] }],
  ['dev:ann:user:', { userId: 'ann', role: 'user', permissions: [] }],
  ['dev:ann@example.com:user:a', { userId: 'ann@example.com', role: 'user', permissions: ['a'] }],
  ['dev:日本', { userId: '日本', role: 'user', permissions: [] }],
])('[R7] %s', (token, user) => {
  expect(devAuth()(handshakeOf(token))).toEqual(user)
})

test.each([
  ...[null, '', 'dev', 'dev:', 'ann', 'DEV:ann', 'dev:ann:', 'dev:ann::a', 'dev:ann:user:a:b'],
  ...['dev:an n', 'dev:a*', ' dev:ann', `dev:${'x'.repeat(129)}`],
])('[T3] %j is no dev token', (token) => {
  const { code } = refusalOf(() => devAuth()(handshakeOf(token)))
  expect(code).toBe('unauthenticated')
})

describe('only from this machine', () => {
  test.each(['127.0.0.1', '127.8.9.10', '::1', '::ffff:127.0.0.1'])('[W9] %s may', (address) => {
    expect(devAuth()(handshakeOf('dev:ann', { address }))).toMatchObject({ userId: 'ann' })
  })

  test.each([
    '192.0.2.1',
    '10.0.0.1',
    '::',
    '',
    '127.0.0.1.evil.example',
    '::ffff:10.0.0.1',
    '1127.0.0.1',
  ])('[W9] %j may not', (address) => {
    const { code, message } = refusalOf(() => devAuth()(handshakeOf('dev:ann', { address })))
    expect(code).toBe('unauthenticated')
    expect(message).toContain('loopback')
  })

  test('[W9] whom a proxy on this machine brings may not', () => {
    for (const headers of [
      { 'x-forwarded-for': '203.0.113.9' },
      { 'x-forwarded-for': '127.0.0.1, 203.0.113.9' },
      { 'x-forwarded-for': ['203.0.113.9'] },
      { 'x-forwarded-for': '' },
      { forwarded: 'for=203.0.113.9' },
    ]) {
      const { code } = refusalOf(() => devAuth()(handshakeOf('dev:ann', { headers })))
      expect(code).toBe('unauthenticated')
    }
    const headers = { 'x-forwarded-for': '127.0.0.1, ::1' }
    expect(devAuth()(handshakeOf('dev:ann', { headers }))).toMatchObject({ userId: 'ann' })
  })
})

test('it refuses to be made for production', () => {
  vi.stubEnv('NODE_ENV', 'production')
  expect(invalidOptionsOf(() => devAuth())).toContain('NODE_ENV=production')
})
