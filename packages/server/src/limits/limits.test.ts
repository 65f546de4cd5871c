import { describe, expect, test } from 'vitest'
import { LIMIT_DEFAULTS, resolveLimits, type Limits } from './limits.js'
import { invalidOptionsOf } from '../testing/refusal.js'

const messageOf = (input: unknown): string => invalidOptionsOf(() => resolveLimits(input))

/** Section 7 of the contract, written down a second time: a changed default must be meant. */
const CONTRACT: Limits = {
  maxSubscribersPerChannel: 10_000,
  maxMessageHistory: 1_000,
  maxHistoryAgeMs: 86_400_000,
  maxHistoryBytes: 8_388_608,
  maxConnections: 50_000,
  maxConnectionsPerUser: 100,
  maxSubscriptionsPerConnection: 500,
  maxPayloadBytes: 65_536,
  maxPayloadDepth: 64,
  maxFrameBytes: 1_048_576,
  publishesPerSecond: 100,
  publishBurst: 200,
  publishBytesPerSecond: 1_048_576,
  publishBytesBurst: 2_097_152,
  requestsPerSecond: 100,
  requestBurst: 1_000,
  maxBufferedBytes: 1_048_576,
  hardMaxBufferedBytes: 16_777_216,
  handshakeTimeoutMs: 10_000,
  staleAfterMs: 300_000,
  sweepIntervalMs: 60_000,
  maxTopics: 100_000,
  emptyChannelTtlMs: 60_000,
  maxRequestsInProgress: 256,
  maxPageMessages: 500,
  maxPageBytes: 262_144,
  idempotencyWindowMs: 300_000,
  maxIdempotencyIds: 1_000_000,
  maxRetainedBytes: 268_435_456,
}

test('the defaults are those of section 7 of the contract', () => {
  expect(resolveLimits()).toEqual(CONTRACT)
  expect(resolveLimits({})).toEqual(LIMIT_DEFAULTS)
})

test('given limits replace their defaults and nothing else; undefined is as good as left out', () => {
  expect(resolveLimits({ maxTopics: 5, maxConnections: undefined })).toEqual({
    ...CONTRACT,
    maxTopics: 5,
  })
})

test('the result cannot be changed', () => {
  expect(Object.isFrozen(resolveLimits({ maxTopics: 5 }))).toBe(true)
  expect(Object.isFrozen(LIMIT_DEFAULTS)).toBe(true)
})

describe('refused, naming the limit', () => {
  const each = Object.keys(CONTRACT) as (keyof Limits)[]
  test.each(each)('%s: what is no number in range', (name) => {
    for (const value of ['5', null, -1, NaN, Infinity, {}, true]) {
      expect(messageOf({ [name]: value })).toContain(`limits.${name} must be `)
    }
  })

  const rates = ['publishesPerSecond', 'publishBytesPerSecond', 'requestsPerSecond']
  test.each(each.filter((name) => !rates.includes(name)))('%s: fractions', (name) => {
    expect(messageOf({ [name]: 1.5 })).toContain(`limits.${name} must be a whole number`)
  })

  test('a value is shown as it was given', () => {
    expect(messageOf({ staleAfterMs: '5s' })).toBe(
      'limits.staleAfterMs must be a whole number of at least 1, got "5s" (string)',
    )
  })

  test('a misspelt one, with those that there are', () => {
    expect(messageOf({ maxConnection: 5 })).toMatch(/^limits\.maxConnection is unknown; .*maxConn/)
  })

  test.each([
    'maxPendingConnections',
    'maxPendingConnectionsPerAddress',
    'maxTotalBufferedBytes',
    'topicsPerSecond',
    'topicBurst',
  ])('%s, which comes later', (name) => {
    expect(messageOf({ [name]: 5 })).toMatch(new RegExp(`^limits\\.${name} comes later`))
  })

  test.each([[[]], ['all'], [null], [5]])('%j instead of an object', (input) => {
    expect(messageOf(input)).toContain('limits must be an object')
  })
})

describe('0', () => {
  const nothing = [
    'maxMessageHistory',
    'maxHistoryAgeMs',
    'maxHistoryBytes',
    'maxPayloadDepth',
    'emptyChannelTtlMs',
    'maxRetainedBytes',
  ] as const
  test.each(nothing)('%s 0 keeps nothing', (name) => {
    expect(resolveLimits({ [name]: 0 })[name]).toBe(0)
  })

  const others = (Object.keys(CONTRACT) as (keyof Limits)[]).filter(
    (name) => !nothing.some((zero) => zero === name),
  )
  test.each(others)('%s 0 would let nothing through, and is refused', (name) => {
    expect(messageOf({ [name]: 0 })).toContain(`limits.${name} must be`)
  })
})

test('[L6] rates may be fractions', () => {
  expect(resolveLimits({ publishesPerSecond: 0.1 }).publishesPerSecond).toBe(0.1)
})

test('[L5][L6] limits that exclude each other are refused, naming both', () => {
  expect(messageOf({ publishBytesBurst: 65_535 })).toBe(
    'limits.publishBytesBurst (65535) must be at least limits.maxPayloadBytes (65536)',
  )
  expect(resolveLimits({ publishBytesBurst: 65_536 }).publishBytesBurst).toBe(65_536)
  expect(messageOf({ maxPayloadBytes: 1_048_576 })).toBe(
    'limits.maxFrameBytes (1048576) must be at least limits.maxPayloadBytes (1048576) and 4096 more',
  )
  expect(messageOf({ maxBufferedBytes: 16_777_217 })).toContain('limits.hardMaxBufferedBytes')
})
