import { RealtimeError } from '@bmt-central/realtime-protocol'
import { describe, expect, test } from 'vitest'
import type { AccessFunction, ChannelRule } from '../rules.js'
import { TestServer, turns } from '../testing/rig/test-server.js'

function startWith(...channels: ChannelRule[]): Promise<TestServer> {
  return TestServer.start({ channels })
}

describe('rights', () => {
  test('[P8] a topic that no rule matches can be neither subscribed, read nor published to', async () => {
    await using server = await startWith()
    const ann = await server.connect()
    const denied = { code: 'permission_denied', retryable: false }
    expect(await ann.subscribe('anything')).toMatchObject(denied)
    expect(await ann.request('history', { topic: 'anything' })).toMatchObject(denied)
    expect(await ann.publish('anything', 1)).toMatchObject(denied)
    expect(server.service.channels()).toEqual([])
  })

  test('[R5][R7] admins are admitted by words and roles, not by `nobody` or `admin: false`', async () => {
    await using server = await startWith(
      { match: 'nobody', subscribe: 'nobody', publish: 'nobody' },
      { match: 'closed', subscribe: { role: 'doctor' }, publish: 'authenticated', admin: false },
      { match: 'role', subscribe: { role: 'doctor' }, publish: { permission: 'p' } },
      { match: 'left-out' },
    )
    const admin = await server.connect({ role: 'admin' })
    const codes = async (topic: string): Promise<unknown[]> => [
      (await admin.subscribe(topic))['code'] ?? 'yes',
      (await admin.publish(topic, 1))['code'] ?? 'yes',
    ]
    expect(await codes('nobody')).toEqual(['permission_denied', 'permission_denied'])
    expect(await codes('left-out')).toEqual(['permission_denied', 'permission_denied'])
    expect(await codes('closed')).toEqual(['permission_denied', 'yes'])
    expect(await codes('role')).toEqual(['yes', 'yes'])
    expect(await codes('without:rule')).toEqual(['yes', 'yes'])
    expect(await server.service.publish('nobody', 1)).toMatchObject({ seq: 1 })
  })

  test('[R7] `anyone` includes anonymous users, `authenticated` does not', async () => {
    await using server = await TestServer.start({
      anonymous: true,
      channels: [
        { match: 'open', subscribe: 'anyone', publish: 'authenticated' },
        { match: 'members', subscribe: 'authenticated' },
      ],
    })
    const guest = server.dial({})
    expect(await guest.heard('connected')).toMatchObject({
      user: { userId: `anonymous-${guest.socket.id}`, role: 'anonymous', permissions: [] },
    })
    expect(await guest.subscribe('open')).toMatchObject({ status: 'success' })
    expect(await guest.publish('open', 1)).toMatchObject({ code: 'permission_denied' })
    expect(await guest.subscribe('members')).toMatchObject({ code: 'permission_denied' })
    expect(await (await server.connect()).subscribe('members')).toMatchObject({ seq: 0 })
  })

  test('[R7] a function is told who wants what, and answers for each action by itself', async () => {
    const asked: unknown[] = []
    const rule: AccessFunction = ({ user, topic, params, action }) => {
      asked.push([user.userId, topic, params, action])
      return action === 'subscribe'
    }
    await using server = await startWith({
      match: 'document:{docId}:changes',
      subscribe: rule,
      publish: rule,
    })
    const ann = await server.connect()
    expect(await ann.subscribe('document:7:changes')).toMatchObject({ status: 'success' })
    expect(await ann.publish('document:7:changes', 1)).toMatchObject({ code: 'permission_denied' })
    await ann.request('history', { topic: 'document:7:changes' })
    expect(asked).toEqual([
      ['ann', 'document:7:changes', { docId: '7' }, 'subscribe'],
      ['ann', 'document:7:changes', { docId: '7' }, 'publish'],
      ['ann', 'document:7:changes', { docId: '7' }, 'subscribe'],
    ])
  })

  test('[R7] the first rule that matches decides, for every action', async () => {
    await using server = await startWith(
      { match: 'room:{id}', subscribe: 'authenticated' },
      { match: 'room:*', subscribe: 'authenticated', publish: 'authenticated' },
      { match: 'public:*', subscribe: 'nobody' },
    )
    const ann = await server.connect()
    expect(await ann.publish('room:1', 1)).toMatchObject({ code: 'permission_denied' })
    expect(await ann.publish('room:1:side', 1)).toMatchObject({ status: 'success' })
    expect(await ann.subscribe('public:news')).toMatchObject({ code: 'permission_denied' })
  })

  test('[R8] a refusal names the rule where rules are shown; the listeners always know it', async () => {
    for (const shareRules of [true, false]) {
      await using server = await TestServer.start({
        shareRules,
        channels: [{ match: 'inner-{name}', publish: 'anyone' }],
      })
      const ann = await server.connect()
      expect((await ann.heard('connected'))['rules'] === null).toBe(!shareRules)
      const { details } = await ann.subscribe('inner-sanctum')
      expect(details).toEqual({
        topic: 'inner-sanctum',
        action: 'subscribe',
        ...(shareRules && { rule: 'inner-{name}' }),
      })
      expect(server.events('denied')).toMatchObject([{ rule: 'inner-{name}' }])
    }
  })
})

describe('a rule function that fails', () => {
  test.each<[string, AccessFunction]>([
    [
      'throws',
      () => {
        throw new Error('the password is 1234')
      },
    ],
    ['rejects', () => Promise.reject(new Error('the password is 1234'))],
    [
      'throws an error of ours',
      () => {
        throw new RealtimeError('permission_denied', 'no')
      },
    ],
    [
      'rejects with an error of ours',
      () => Promise.reject(new RealtimeError('permission_denied', 'no')),
    ],
    ['rejects with what has no text', () => Promise.reject(Object.create(null) as Error)],
  ])(
    '[P7] because it %s denies for now, and says so to nobody but the operator',
    async (_n, rule) => {
      await using server = await startWith({ match: 'a', subscribe: rule, publish: rule })
      const ann = await server.connect()
      for (const answer of [await ann.subscribe('a'), await ann.publish('a', 1)]) {
        expect(answer).toMatchObject({ code: 'internal_error', retryable: true })
        expect(JSON.stringify(answer)).not.toContain('1234')
      }
      expect(server.events('error').map(({ where }) => where)).toEqual([
        'the subscribe rule a for a',
        'the publish rule a for a',
      ])
      expect(server.service.getStats().subscriptions).toBe(0)
    },
  )

  test('[P7] because it takes longer than 5 s denies for now; others do not wait for it', async () => {
    let answer: (allowed: boolean) => void = () => undefined
    await using server = await startWith(
      { match: 'slow', subscribe: () => new Promise((resolve) => (answer = resolve)) },
      { match: '*', subscribe: 'anyone', publish: 'anyone' },
    )
    const [ann, bob] = [await server.connect(), await server.connect({ userId: 'bob' })]
    const timers = server.runtime.pendingTimers
    const subscribed = ann.subscribe('slow')
    await ann.caughtUp()
    expect(await ann.subscribe('quick')).toMatchObject({ status: 'success' })
    expect(await bob.publish('quick', 1)).toMatchObject({ deliveredTo: 1 })
    await server.runtime.advance(5_000)
    expect(await subscribed).toMatchObject({ code: 'internal_error', retryable: true })
    answer(true)
    await turns()
    expect(server.service.channels({ prefix: 'slow' })).toEqual([])
    expect(server.runtime.pendingTimers).toBe(timers)
  })

  test.each([undefined, null, 1, 'yes', {}, [], false].map((value) => ({ value })))(
    '[P7][P8] returns $value: only true admits',
    async ({ value }) => {
      await using server = await startWith({
        match: '*',
        subscribe: () => value as boolean,
        publish: () => Promise.resolve(value as boolean),
      })
      const ann = await server.connect()
      expect(await ann.subscribe('a')).toMatchObject({ code: 'permission_denied' })
      expect(await ann.publish('a', 1)).toMatchObject({ code: 'permission_denied' })
    },
  )

  test('[P7] in a batch costs its own entry alone, and all are asked side by side', async () => {
    const waiting: (() => void)[] = []
    await using server = await startWith({
      match: '{name}',
      subscribe: ({ topic }) =>
        new Promise((resolve, reject) => {
          waiting.push(() => (topic === 'b' ? reject(new Error('b')) : resolve(topic !== 'c')))
        }),
    })
    const ann = await server.connect()
    const topics = ['a', 'b', 'c', 'd'].map((topic) => ({ topic }))
    const batch = ann.request('subscribe', { topics })
    await ann.caughtUp()
    expect(waiting).toHaveLength(4)
    for (const answer of waiting.toReversed()) answer()
    expect((await batch)['results']).toMatchObject([
      { topic: 'a', status: 'success' },
      { topic: 'b', code: 'internal_error' },
      { topic: 'c', code: 'permission_denied' },
      { topic: 'd', status: 'success' },
    ])
    expect(server.deniedCodes).toEqual(['internal_error', 'permission_denied'])
  })
})
