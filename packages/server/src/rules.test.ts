import { matchRule, silentLogger, type Logger } from '@bmt-central/realtime-protocol'
import { describe, expect, test } from 'vitest'
import * as z from 'zod'
import { LIMIT_DEFAULTS } from './limits/limits.js'
import { resolveRules, type ChannelRule } from './rules.js'
import { invalidOptionsOf } from './testing/refusal.js'

const resolve = (channels: unknown, logger: Logger = silentLogger) =>
  resolveRules(channels as ChannelRule[], LIMIT_DEFAULTS, logger)

const messageOf = (channels: unknown): string => invalidOptionsOf(() => resolve(channels))

const DEFAULT_POLICY = {
  delivery: 'recoverable',
  size: LIMIT_DEFAULTS.maxMessageHistory,
  ttlMs: LIMIT_DEFAULTS.maxHistoryAgeMs,
  bytes: LIMIT_DEFAULTS.maxHistoryBytes,
}

test('[R7][P8] what a rule leaves out is nobody, recoverable, and kept by the limits', () => {
  const [rule] = resolve([{ match: 'a' }]).list
  expect(rule).toEqual({
    wire: { match: 'a', subscribe: 'nobody', publish: 'nobody' },
    subscribe: null,
    publish: null,
    policy: DEFAULT_POLICY,
    overflow: 'recover',
    schema: null,
    onPublish: null,
  })
})

test('[R8] clients see functions as `ask`, and nothing of schema, history and hooks', () => {
  const ask = () => true
  const schema = z.object({ text: z.string() })
  const [rule] = resolve([
    {
      match: 'chat:{room}',
      subscribe: ask,
      publish: { permission: 'write' },
      admin: false,
      overflow: 'latest',
      history: { size: 5 },
      schema,
      onPublish: ask,
    },
  ]).list
  expect(rule?.wire).toEqual({
    match: 'chat:{room}',
    subscribe: 'ask',
    publish: { permission: 'write' },
    admin: false,
    overflow: 'latest',
  })
  expect([rule?.subscribe, rule?.publish, rule?.schema, rule?.onPublish]).toEqual([
    ask,
    null,
    schema,
    ask,
  ])
})

test('[R8] the place of a rule in `list` is its index in the matcher', () => {
  const rules = resolve([
    { match: 'a:*', subscribe: 'anyone' },
    { match: 'b:*', subscribe: 'admin' },
  ])
  const found = matchRule(rules.set, 'b:1')
  expect(rules.list[found?.index ?? -1]?.wire.match).toBe('b:*')
  expect(matchRule(rules.set, 'c:1')).toBeNull()
  expect(rules.fallback.policy).toEqual(DEFAULT_POLICY)
  expect([rules.fallback.wire.subscribe, rules.fallback.wire.publish]).toEqual(['nobody', 'nobody'])
})

test('[L2] history replaces what it names; 0 keeps nothing', () => {
  const policies = resolve([
    { match: 'a', history: { size: 5_000, bytes: 67_108_864 } },
    { match: 'b', history: { ttlMs: 0 } },
    { match: 'c', history: { size: 0, ttlMs: undefined } },
  ]).list.map((rule) => rule.policy)
  expect(policies).toEqual([
    { ...DEFAULT_POLICY, size: 5_000, bytes: 67_108_864 },
    { ...DEFAULT_POLICY, ttlMs: 0 },
    { ...DEFAULT_POLICY, size: 0 },
  ])
})

test('[P11] an ephemeral rule has overflow latest, and clients are told', () => {
  const [rule] = resolve([{ match: 'typing:*', delivery: 'ephemeral' }]).list
  expect(rule?.policy.delivery).toBe('ephemeral')
  expect(rule?.overflow).toBe('latest')
  expect(rule?.wire.delivery).toBe('ephemeral')
})

test('[T2] patterns are normalised', () => {
  const [rule] = resolve([{ match: 'cafe\u0301:*' }]).list
  expect(rule?.wire.match).toBe('caf\u00e9:*')
})

test('[T2] rules that cannot be reached, and those that hide a built-in one, are logged', () => {
  const logged: unknown[] = []
  const logger = {
    ...silentLogger,
    warn: (event: string, fields?: object) => void logged.push([event, fields]),
  }
  resolve([{ match: 'chat:*' }, { match: 'chat:{room}' }, { match: 'public:*' }], logger)
  expect(logged).toEqual([
    ['a rule can never be reached', { match: 'chat:{room}', earlier: 'chat:*' }],
    ['a rule hides a built-in one', { match: 'public:*', builtIn: 'public:*' }],
  ])
})

test('resolved rules cannot be changed', () => {
  const rules = resolve([{ match: 'a' }])
  for (const part of [rules, rules.list[0], rules.list[0]?.wire, rules.list[0]?.policy]) {
    expect(Object.isFrozen(part)).toBe(true)
  }
})

describe('[R7][T2] refused, naming rule and key', () => {
  const first = { match: 'ok' }
  test.each<[string, unknown, string]>([
    ['no list', {}, 'channels must be a list of rules, got object'],
    ['no object', [first, 'public:*'], 'channels[1] must be an object, got "public:*" (string)'],
    ['no pattern', [{}], 'channels[0].match must be a pattern, got nothing'],
    ['a pattern with an empty segment', [{ match: 'a::b' }], 'pattern "a::b"'],
    ['a star in the middle', [{ match: 'a:*:b' }], 'pattern "a:*:b": * may stand at the end only'],
    ['two names in a segment', [{ match: '{a}{b}' }], 'at most one {name}'],
    ['one name twice', [{ match: '{a}:{a}' }], 'must differ'],
    ['an unknown word', [{ match: 'a', subscribe: 'all' }], 'channels[0].subscribe must be anyone'],
    ['a boolean', [{ match: 'a', publish: true }], 'channels[0].publish must be anyone'],
    ['two conditions', [{ match: 'a', publish: { role: 'x', permission: 'y' } }], '.publish must'],
    [
      'an unknown key',
      [first, { match: 'a', subscribers: 'anyone' }],
      'channels[1].subscribers is',
    ],
    ['presence', [{ match: 'a', presence: true }], 'channels[0].presence comes later'],
    ['binary', [{ match: 'a', binary: true }], 'channels[0].binary comes later'],
    ['admin', [{ match: 'a', admin: 'no' }], 'channels[0].admin must be true or false'],
    [
      'delivery',
      [{ match: 'a', delivery: 'once' }],
      'must be recoverable or ephemeral, got "once"',
    ],
    ['overflow', [{ match: 'a', overflow: 'drop' }], 'must be recover or latest, got "drop"'],
    ['history', [{ match: 'a', history: 5 }], 'channels[0].history must be an object, got 5'],
    [
      'a key of history',
      [{ match: 'a', history: { ttl: 5 } }],
      'channels[0].history.ttl is unknown',
    ],
    ['a size below 0', [{ match: 'a', history: { size: -1 } }], 'channels[0].history.size must be'],
    ['an endless ttl', [{ match: 'a', history: { ttlMs: Infinity } }], '.history.ttlMs must be'],
    [
      'history of an ephemeral topic',
      [ephemeral({ history: { size: 1 } })],
      '.history must be left out',
    ],
    ['recovery of one', [ephemeral({ overflow: 'recover' })], '.overflow must be latest'],
    ['schema', [{ match: 'a', schema: { parse() {} } }], 'schema must be a Standard Schema'],
    ['onPublish', [{ match: 'a', onPublish: 'hook' }], 'channels[0].onPublish must be a function'],
  ])('%s', (_what, channels, expected) => {
    expect(messageOf(channels)).toContain(expected)
  })
})

function ephemeral(more: object): object {
  return { match: 'a', delivery: 'ephemeral', ...more }
}
