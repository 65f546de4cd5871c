import { silentLogger } from '@bmt-central/realtime-protocol'
import { virtualRuntime } from '@bmt-central/realtime-protocol/testing'
import { describe, expect, test } from 'vitest'
import { devAuth } from './auth/dev.js'
import { MemoryBroker } from './broker/memory-broker.js'
import { LIMIT_DEFAULTS } from './limits/limits.js'
import { resolveOptions, type RealtimeServiceOptions } from './options.js'
import { invalidOptionsOf } from './testing/refusal.js'

const authenticate = () => ({ userId: 'ann', role: 'user' })
const resolve = (options: object) =>
  resolveOptions({ authenticate, ...options } as RealtimeServiceOptions)

const messageOf = (options: unknown): string =>
  invalidOptionsOf(() => resolveOptions(options as RealtimeServiceOptions))

test('with `authenticate` alone, everything has its documented default', () => {
  const { rules, ownEvents, broker, runtime, ...rest } = resolve({})
  expect(rest).toEqual({
    authenticate,
    trustProxy: false,
    anonymous: false,
    compressionThresholdBytes: null,
    heartbeatIntervalMs: 30_000,
    path: '/socket.io',
    limits: LIMIT_DEFAULTS,
    brokerLimits: {
      idempotencyWindowMs: 300_000,
      maxIdempotencyIds: 1_000_000,
      maxTopics: 100_000,
    },
    origins: [],
    devHosts: null,
    wireRules: [],
    logger: silentLogger,
  })
  expect(rules.list).toEqual([])
  expect(ownEvents.size).toBe(0)
  expect(broker).toBeInstanceOf(MemoryBroker)
  expect(runtime.id()).toMatch(/^[\w-]{22}$/)
})

test('[L18] the broker is told how much it may retain only where that was said', () => {
  expect(resolve({ limits: { maxTopics: 9 } }).brokerLimits).toEqual({
    idempotencyWindowMs: 300_000,
    maxIdempotencyIds: 1_000_000,
    maxTopics: 9,
  })
  const { brokerLimits } = resolve({ limits: { maxRetainedBytes: 7 } })
  expect(brokerLimits.maxRetainedBytes).toBe(7)
})

test('what is given is taken', () => {
  const given = {
    trustProxy: true,
    anonymous: true,
    broker: new MemoryBroker(),
    runtime: virtualRuntime(),
    logger: { ...silentLogger },
  }
  const resolved = resolve({
    ...given,
    heartbeatInterval: 5_000,
    path: '/realtime/',
    limits: { maxTopics: 7 },
    events: { own: ['cursor', 'cursor'] },
    channels: [{ match: 'a', subscribe: 'anyone' }],
  })
  expect(resolved).toMatchObject(given)
  expect(resolved.broker).toBe(given.broker)
  expect(resolved).toMatchObject({ heartbeatIntervalMs: 5_000, path: '/realtime' })
  expect(resolved.limits.maxTopics).toBe(7)
  expect([...resolved.ownEvents]).toEqual(['cursor'])
  expect(Object.isFrozen(resolved)).toBe(true)
})

test('an option that is undefined is as good as left out', () => {
  const names = ['channels', 'events', 'trustProxy', 'path', 'broker', 'limits', 'cors', 'logger']
  const nothing = Object.fromEntries(names.map((name) => [name, undefined]))
  expect(resolve({ ...nothing, http: undefined })).toMatchObject({
    path: '/socket.io',
    origins: [],
  })
})

test('[W9] devAuth is recognised, and does not go with addresses that a header names', () => {
  expect(resolve({ authenticate: devAuth() }).devHosts).toEqual([])
  expect(messageOf({ authenticate: devAuth(), trustProxy: true })).toContain('trustProxy must be')
})

test('[R8] rules are shared unless they are too large or kept back', () => {
  const channels = [{ match: 'a', subscribe: 'anyone', publish: () => true }]
  const wire = { match: 'a', subscribe: 'anyone', publish: 'ask' }
  expect(resolve({ channels }).wireRules).toEqual([wire])
  expect(resolve({ channels, shareRules: false }).wireRules).toBeNull()

  const ruleOf = (index: number, name: string) => ({ match: `topic-${index}:{${name}}` })
  const bytesOf = (rules: object[]) =>
    Buffer.byteLength(
      JSON.stringify(rules.map((rule) => ({ ...rule, subscribe: 'nobody', publish: 'nobody' }))),
    )
  const rules = Array.from({ length: 600 }, (_, index) => ruleOf(index, 'x'))
  while (bytesOf(rules) > 32_768) rules.pop()
  const missing = 32_768 - bytesOf(rules)
  expect(missing).toBeLessThan(80)
  const largest = [...rules.slice(0, -1), ruleOf(rules.length - 1, 'x'.repeat(missing + 1))]
  expect(bytesOf(largest)).toBe(32_768)
  expect(resolve({ channels: largest }).wireRules).toHaveLength(largest.length)
  const larger = [...rules.slice(0, -1), ruleOf(rules.length - 1, 'x'.repeat(missing + 2))]
  const logged: string[] = []
  const logger = { ...silentLogger, warn: (event: string) => void logged.push(event) }
  expect(resolve({ channels: larger, logger }).wireRules).toBeNull()
  expect(logged).toEqual(['the rules are too large to be sent: clients ask for every topic'])
})

describe('[W9] origins are kept as browsers write them', () => {
  test.each<[unknown, string[]]>([
    ['https://app.example.com', ['https://app.example.com']],
    ['https://App.Example.com/', ['https://app.example.com']],
    ['https://app.example.com:443', ['https://app.example.com']],
    ['http://localhost:5173', ['http://localhost:5173']],
    ['http://[::1]:5173', ['http://[::1]:5173']],
    ['https://bücher.example', ['https://xn--bcher-kva.example']],
    ['capacitor://localhost', ['capacitor://localhost']],
    [
      ['https://a.example', 'https://b.example', 'https://A.example'],
      ['https://a.example', 'https://b.example'],
    ],
    [[], []],
  ])('%j', (origin, expected) => {
    expect(resolve({ cors: { origin } }).origins).toEqual(expected)
  })

  test.each([
    '*',
    'null',
    '',
    'app.example.com',
    'https://',
    'https://app.example.com/path',
    'https://app.example.com?x',
    'https://*.example.com',
    'https://user@app.example.com',
    'https://a.example https://b.example',
    5,
    undefined,
    ['https://a.example', '*'],
    true,
  ])('%j is refused', (origin) => {
    expect(messageOf({ authenticate, cors: { origin } })).toContain('cors.origin must be')
  })
})

describe('refused, naming the option', () => {
  test.each<[string, object, string]>([
    ['authenticate left out', { authenticate: undefined }, 'authenticate must be jwtAuth(…)'],
    ['a secret as authenticate', { authenticate: 'secret' }, 'authenticate must be'],
    ['an unknown option', { chanels: [] }, 'chanels is unknown; possible are authenticate'],
    ['http', { http: {} }, 'http comes later'],
    ['topics', { topics: {} }, 'topics comes later'],
    ['compression', { compression: true as never }, 'compression must be'],
    ['compression', { compression: { level: 3 } as never }, 'level'],
    ['compression', { compression: { thresholdBytes: 0 } }, 'thresholdBytes'],
    ['trustProxy', { trustProxy: 'loopback' }, 'trustProxy must be true or false'],
    ['anonymous', { anonymous: 1 }, 'anonymous must be true or false, got 1'],
    ['shareRules', { shareRules: 'no' }, 'shareRules must be true or false'],
    ['heartbeatInterval', { heartbeatInterval: 0 }, 'heartbeatInterval must be a whole number'],
    ['heartbeatInterval', { heartbeatInterval: '30s' }, 'got "30s" (string)'],
    ['path', { path: 'socket.io' }, 'path must be a URL path'],
    ['path', { path: '/' }, 'path must be a URL path'],
    ['path', { path: '/a b' }, 'path must be a URL path'],
    ['path', { path: '/a?b' }, 'path must be a URL path'],
    ['path', { path: 5 }, 'path must be a URL path'],
    [
      'a broker with parts missing',
      { broker: { start() {} } },
      'broker must be an object with the',
    ],
    ['a broker', { broker: 'memory' }, 'broker must be'],
    ['a runtime', { runtime: {} }, 'runtime must be an object with the functions wallNow'],
    ['a logger', { logger: () => undefined }, 'logger must be an object with the functions debug'],
    ['limits', { limits: { maxTopic: 1 } }, 'limits.maxTopic is unknown'],
    ['limits', { limits: null }, 'limits must be an object, got null'],
    ['channels', { channels: { match: 'a' } }, 'channels must be a list of rules'],
    ['cors', { cors: 'https://a.example' }, 'cors must be an object'],
    ['a key of cors', { cors: { origin: [], credentials: true } }, 'cors.credentials is unknown'],
    ['events', { events: ['cursor'] }, 'events must be an object, got an array'],
    ['a key of events', { events: { mine: [] } }, 'events.mine is unknown'],
    ['events.own', { events: { own: 'cursor' } }, 'events.own must be a list of event names'],
  ])('%s', (_what, options, expected) => {
    expect(messageOf({ authenticate, ...options })).toContain(expected)
  })

  test.each([
    ...['subscribe', 'unsubscribe', 'publish', 'history', 'heartbeat', 'presence', 'refresh'],
    ...['connected', 'message', 'closing', 'unsubscribed', 'token_expiring', 'heartbeat_ack'],
    ...['connect', 'connect_error', 'disconnect', 'disconnecting', 'newListener'],
    ...['', 5, null],
  ])('[W7] an own event with the taken name %j', (name) => {
    const message = messageOf({ authenticate, events: { own: ['cursor', name] } })
    expect(message).toContain('events.own[1] must be an event name that is not taken')
  })

  test('no options at all', () => {
    expect(messageOf(undefined)).toContain('the options of RealtimeService must be an object')
  })

  test('a secret in the wrong place is not shown', () => {
    expect(messageOf({ authenticate: { secret: 'hunter2' } })).not.toContain('hunter2')
  })
})
