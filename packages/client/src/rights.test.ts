import { compileRules, decide, matchRule, type WireRule } from '@bmt-central/realtime-protocol'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { builtInAllows, Rights } from './rights.js'
import { connectedEvent } from './testing/fake-server.js'
import { testClient } from './testing/test-client.js'

describe('before anything is known', () => {
  test('[R8] a client without rules denies nothing', () => {
    const { client } = testClient()
    expect(client.canAccessChannel('anything', 'user', 'ada')).toBe(true)
    expect(client.canPublishToChannel('system:news', 'user', 'ada')).toBe(true)
  })

  test('[R1][R2][R3][R4][R5][R6] the built-in rules alone', () => {
    const may = (channel: string, role = 'user', permissions?: string[]): string =>
      (['subscribe', 'publish'] as const)
        .filter((action) => builtInAllows(action, { channel, role, userId: 'ada', permissions }))
        .join(' ')
    expect(may('public:news')).toBe('subscribe publish')
    expect(may('public:news', 'anonymous')).toBe('subscribe')
    expect(may('private:board', 'user', [])).toBe('')
    expect(may('private:board', 'user', ['private_channel_access'])).toBe('subscribe publish')
    expect(may('private:board')).toBe('subscribe publish')
    expect(may('user:ada')).toBe('subscribe publish')
    expect(may('user:ada:inbox')).toBe('subscribe publish')
    expect(may('user:adam:inbox')).toBe('')
    expect(may('user:ada-x')).toBe('')
    expect(may('system:news')).toBe('subscribe')
    expect(may('system:news', 'admin')).toBe('subscribe publish')
    expect(may('chat-room-1')).toBe('')
    expect(may('chat-room-1', 'admin')).toBe('subscribe publish')
  })
})

describe('with the server’s rules', () => {
  const rules: WireRule[] = [
    { match: 'open:*', subscribe: 'anyone', publish: 'authenticated' },
    { match: 'ask:*', subscribe: 'ask', publish: 'nobody' },
    { match: 'staff:*', subscribe: { permission: 'staff' }, publish: { role: 'editor' } },
  ]

  test('[R8] the same matcher answers; `ask` counts as yes', async () => {
    const { client, server, connected } = testClient()
    server.welcome = { rules }
    await connected()
    expect(client.canAccessChannel('ask:1', 'user', 'bob')).toBe(true)
    expect(client.canPublishToChannel('ask:1', 'user', 'bob')).toBe(false)
    expect(client.canPublishToChannel('open:1', 'anonymous', 'bob')).toBe(false)
    expect(client.canPublishToChannel('staff:1', 'editor', 'bob')).toBe(true)
    expect(client.canPublishToChannel('staff:1', 'user', 'bob')).toBe(false)
    expect(client.canAccessChannel('caf\u0065\u0301:1', 'user', 'bob')).toBe(false)
  })

  test('[R8] permissions left out: its own where it is itself, else not known and never denied', async () => {
    const { client, server, connected } = testClient()
    server.welcome = { rules, user: { userId: 'ada', role: 'user', permissions: [] } }
    await connected()
    expect(client.canAccessChannel('staff:1', 'user', 'ada')).toBe(false)
    expect(client.canAccessChannel('staff:1', 'user', 'ada', ['staff'])).toBe(true)
    expect(client.canAccessChannel('staff:1', 'user', 'bob')).toBe(true)
    expect(client.canAccessChannel('staff:1', 'user', 'bob', [])).toBe(false)
    expect(client.canAccessChannel('private:1', 'user', 'bob')).toBe(true)
    expect(client.canAccessChannel('private:1', 'user', 'ada')).toBe(false)
  })

  test('[R8] patterns that this version cannot read are as good as kept back', async () => {
    const { client, server, connected } = testClient()
    server.welcome = { rules: [{ match: '{{later}}', subscribe: 'nobody', publish: 'nobody' }] }
    await connected()
    expect(client.canAccessChannel('chat-room-1', 'user', 'bob')).toBe(true)
  })
})

const access = fc.oneof(
  fc.constantFrom('anyone', 'authenticated', 'admin', 'nobody', 'ask'),
  fc.record({ role: fc.constantFrom('user', 'editor', 'admin') }),
  fc.record({ permission: fc.constantFrom('a', 'b', 'private_channel_access') }),
)
const segment = fc.constantFrom(
  'public',
  'private',
  'user',
  'system',
  'ada',
  'bob',
  'caf\u00e9',
  'a.b',
)
const rule = fc.record({
  match: fc.constantFrom(
    '*',
    'public:*',
    'user:{id}',
    '{any}',
    'private:{x}:*',
    'a.b',
    'caf\u00e9:*',
  ),
  subscribe: access,
  publish: access,
  admin: fc.boolean(),
})

const ASK = { subscribe: 'ask', publish: 'ask' } as const

test('[R8] the client never denies what the server admits, however much of its rules it was told', () => {
  fc.assert(
    fc.property(
      fc.array(rule, { maxLength: 4 }),
      fc.array(segment, { minLength: 1, maxLength: 3 }),
      fc.record({
        userId: fc.constantFrom('ada', 'bob'),
        role: fc.constantFrom('user', 'admin', 'editor', 'anonymous'),
        permissions: fc.subarray(['a', 'b', 'private_channel_access']),
      }),
      fc.constantFrom('subscribe' as const, 'publish' as const),
      fc.constantFrom('sent', 'ask', 'null'),
      (generated, segments, user, action, told) => {
        const topic = segments.join(':')
        const theirs = generated as WireRule[]
        const verdict = decide(matchRule(compileRules(theirs), topic), { user, topic, action })
        const rights = new Rights()
        const ours = told === 'ask' ? theirs.map((one) => ({ ...one, ...ASK })) : theirs
        rights.learn({
          rules: told === 'null' ? null : compileRules(ours),
          connected: connectedEvent({ user }),
        })
        const { userId, role, permissions } = user
        const answers = [permissions, undefined].map((known) =>
          rights.allows(action, { channel: topic, userId, role, permissions: known }),
        )
        // As somebody else, of whom nothing is known here.
        const stranger = new Rights()
        stranger.learn({
          rules: told === 'null' ? null : compileRules(ours),
          connected: connectedEvent({ user: { userId: 'eve', role: 'user', permissions: [] } }),
        })
        answers.push(stranger.allows(action, { channel: topic, userId, role }))
        const denied = rights.denied(topic, action) !== null
        return verdict === 'deny' || (answers.every(Boolean) && !denied)
      },
    ),
    { numRuns: 10_000 },
  )
})

test('[R8] told everything, it denies exactly what the server denies', () => {
  fc.assert(
    fc.property(
      fc.array(rule, { maxLength: 4 }),
      fc.array(segment, { minLength: 1, maxLength: 3 }),
      fc.constantFrom('subscribe' as const, 'publish' as const),
      (generated, segments, action) => {
        const topic = segments.join(':')
        const set = compileRules(generated as WireRule[])
        const rights = new Rights()
        const connected = connectedEvent()
        rights.learn({ rules: set, connected })
        const verdict = decide(matchRule(set, topic), { user: connected.user, topic, action })
        return (rights.denied(topic, action) !== null) === (verdict === 'deny')
      },
    ),
    { numRuns: 2_000 },
  )
})
