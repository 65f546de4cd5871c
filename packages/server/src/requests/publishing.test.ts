import { RealtimeError, type Schema } from '@bmt-central/realtime-protocol'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { ChannelRule, OnPublish } from '../rules.js'
import { GatedBroker, type Gate } from '../testing/rig/gated-broker.js'
import { payloadsOf } from '../testing/rig/plain-client.js'
import { TestServer, turns } from '../testing/rig/test-server.js'

const OPEN = { subscribe: 'anyone', publish: 'anyone' } as const

/** A server with one more rule for `r`. */
function startWith(rule: Partial<ChannelRule>): Promise<TestServer> {
  return TestServer.start({
    channels: [
      { match: 'r', ...OPEN, ...rule },
      { match: '*', ...OPEN },
    ],
  })
}

/** Calls that wait until a test lets them go on. */
class Calls {
  readonly waiting: (() => void)[] = []
  count = 0

  async wait(): Promise<void> {
    this.count += 1
    await new Promise<void>((resolve) => this.waiting.push(resolve))
  }

  async reached(count: number): Promise<void> {
    while (this.waiting.length < count) await turns(1)
  }

  next(): void {
    this.waiting.shift()?.()
  }
}

/** A client whose line is lost while the server carries out its publish m1 to `r`; gives its instance. */
async function leaveInProgress(server: TestServer, calls: Calls): Promise<string> {
  const instance = 'an-instance-of-16-or-more'
  const old = await server.connect({ instance })
  old.send('publish', { topic: 'r', payload: 1, messageId: 'm1' })
  await calls.reached(1)
  old.close()
  return instance
}

describe('the order of publishes', () => {
  test.each<Gate>(['accepted', 'publish', 'publish-answer'])(
    '[W6][P1] of one connection to one topic holds while %s waits; other topics do not wait',
    async (gate) => {
      const broker = new GatedBroker()
      await using server = await TestServer.start({ broker })
      const ann = await server.connect()
      broker.hold(gate)
      const acks = [ann.publish('a', 1), ann.publish('a', 2), ann.publish('a', 3)]
      const other = ann.publish('b', 1)
      await broker.reached(gate, 2)
      await turns()
      // One of each topic: 2 and 3 have not begun.
      expect(broker.waiting(gate)).toBe(2)
      broker.release(gate)
      expect(await Promise.all(acks)).toMatchObject([{ seq: 1 }, { seq: 2 }, { seq: 3 }])
      await other
    },
  )

  test('[P1] holds across connections of one instance, also for what its sender has given up', async () => {
    const calls = new Calls()
    await using server = await startWith({ onPublish: () => calls.wait() })
    const instance = await leaveInProgress(server, calls)
    const fresh = await server.connect({ instance })
    const others = [await server.connect(), await server.connect({ userId: 'bob', instance })]
    const next = fresh.publish('r', 2, { messageId: 'm2' })
    expect(await fresh.publish('other', 1)).toMatchObject({ seq: 1 })
    // Nobody else waits for it.
    const theirs = others.map((other) => other.publish('r', 3))
    await calls.reached(3)
    await fresh.caughtUp()
    expect(calls.count).toBe(3)
    calls.next()
    await calls.reached(3)
    for (const _ of [1, 2, 3]) calls.next()
    expect(await next).toMatchObject({ duplicate: false })
    await Promise.all(theirs)
    const { messages } = await server.service.history('r')
    const ids = messages.map(({ id }) => id)
    expect(ids.indexOf('m1')).toBeGreaterThanOrEqual(0)
    expect(ids.indexOf('m2')).toBeGreaterThan(ids.indexOf('m1'))
  })

  test('[P1] what waits for an earlier connection is not begun once its own has gone', async () => {
    const calls = new Calls()
    await using server = await startWith({ onPublish: () => calls.wait() })
    const instance = await leaveInProgress(server, calls)
    const fresh = await server.connect({ instance })
    fresh.send('publish', { topic: 'r', payload: 2, messageId: 'm2' })
    await fresh.caughtUp()
    fresh.close()
    await server.told('disconnect', 2)
    calls.next()
    const third = await server.connect({ instance })
    const last = third.publish('r', 3, { messageId: 'm3' })
    await calls.reached(1)
    calls.next()
    expect(await last).toMatchObject({ seq: 2 })
    expect((await server.service.history('r')).messages.map(({ id }) => id)).toEqual(['m1', 'm3'])
  })

  test('[W6] holds between a subscribe whose rule is slow and the publish behind it', async () => {
    const calls = new Calls()
    await using server = await startWith({ subscribe: async () => (await calls.wait(), true) })
    const ann = await server.connect()
    const subscribed = ann.subscribe('r')
    const published = ann.publish('r', 1)
    await calls.reached(1)
    expect(await ann.publish('other', 1)).toMatchObject({ seq: 1 })
    calls.next()
    await subscribed
    expect(await published).toMatchObject({ seq: 1, deliveredTo: 1 })
    expect(payloadsOf(await ann.received('r', 1))).toEqual([1])
  })

  test('[W12] `after` an id that is not accepted is refused, and a refused one is not overtaken', async () => {
    await using server = await TestServer.start({ limits: { publishBurst: 2 } })
    const ann = await server.connect()
    const acks = await Promise.all([
      ann.publish('a', 1, { messageId: 'm1' }),
      ann.publish('a', 2, { messageId: 'm2', after: 'm1' }),
      ann.publish('a', 3, { messageId: 'm3', after: 'm2' }),
      ann.publish('a', 4, { messageId: 'm4', after: 'm3' }),
    ])
    expect(acks.map(({ seq, code }) => seq ?? code)).toEqual([1, 2, 'rate_limited', 'out_of_order'])
    expect(acks[3]).toMatchObject({ retryable: true, details: { topic: 'a', after: 'm3' } })
    await server.runtime.advance(1_000)
    expect(await ann.publish('a', 3, { messageId: 'm3' })).toMatchObject({ seq: 3 })
    expect(await ann.publish('a', 4, { messageId: 'm4', after: 'm3' })).toMatchObject({ seq: 4 })
  })

  test('[W12] `after` holds for a slow broker, too', async () => {
    const broker = new GatedBroker()
    await using server = await TestServer.start({ broker })
    const ann = await server.connect()
    broker.hold('follows')
    const refused = ann.publish('a', 2, { after: 'm1' })
    await broker.reached('follows')
    broker.release('follows')
    expect(await refused).toMatchObject({ code: 'out_of_order' })
    expect((await server.service.history('a')).seq).toBe(0)
  })
})

describe('a resend', () => {
  test('[P4] is answered with the first result before rights, rate and schema are looked at', async () => {
    let allowed = true
    let checked = 0
    await using server = await TestServer.start({
      channels: [
        {
          match: 'r',
          subscribe: 'anyone',
          publish: () => allowed,
          schema: z.number().refine(() => (checked += 1) > 0),
        },
      ],
      limits: { publishBurst: 1 },
    })
    const ann = await server.connect()
    const first = await ann.publish('r', 1, { messageId: 'm1' })
    allowed = false
    const again = await (await server.connect()).publish('r', 1, { messageId: 'm1' })
    expect(again).toEqual({ ...first, duplicate: true })
    // The burst is used up: a resend does not need it.
    expect(await ann.publish('r', 1, { messageId: 'm1' })).toEqual(again)
    expect(checked).toBe(1)
    expect(server.events('publish')).toHaveLength(1)
  })

  test('[P4] waits for the same result while the first is in progress on another connection', async () => {
    const calls = new Calls()
    await using server = await startWith({ onPublish: () => calls.wait() })
    const [old, fresh] = [await server.connect(), await server.connect()]
    const bob = await server.connect({ userId: 'bob' })
    await bob.subscribe('r')
    old.send('publish', { topic: 'r', payload: 1, messageId: 'm1' })
    await calls.reached(1)
    old.close()
    const resend = fresh.publish('r', 1, { messageId: 'm1' })
    const successor = fresh.publish('r', 2, { messageId: 'm2', after: 'm1' })
    await fresh.caughtUp()
    expect(calls.count).toBe(1)
    calls.next()
    expect(await resend).toMatchObject({ seq: 1, duplicate: true, deliveredTo: 1 })
    await calls.reached(1)
    calls.next()
    expect(await successor).toMatchObject({ seq: 2, duplicate: false })
    expect(payloadsOf(await bob.received('r', 2))).toEqual([1, 2])
    expect(server.service.getStats().bounds['publishesInProgress']?.used).toBe(0)
  })

  test('[P4] of a first that is refused is refused the same; the next one is tried anew', async () => {
    const calls = new Calls()
    let failing = true
    await using server = await startWith({
      onPublish: async () => {
        await calls.wait()
        if (failing) throw new RealtimeError('validation_failed', 'not this one')
      },
    })
    const [one, two] = [await server.connect(), await server.connect()]
    const first = one.publish('r', 1, { messageId: 'm1' })
    await calls.reached(1)
    const resend = two.publish('r', 1, { messageId: 'm1' })
    await two.caughtUp()
    calls.next()
    expect(await first).toMatchObject({ code: 'validation_failed' })
    expect(await resend).toMatchObject({ code: 'validation_failed' })
    failing = false
    const third = two.publish('r', 1, { messageId: 'm1' })
    await calls.reached(1)
    calls.next()
    expect(await third).toMatchObject({ seq: 1, duplicate: false })
  })

  test.each([
    ['accepted', false, 'id_conflict'],
    ['refused', true, 'success'],
  ])(
    '[P4] another payload under an id in progress waits until that is %s',
    async (_name, refuse, outcome) => {
      const calls = new Calls()
      await using server = await startWith({
        onPublish: async ({ payload }) => {
          if (payload !== 1) return
          await calls.wait()
          if (refuse) throw new Error('no')
        },
      })
      const [one, two] = [await server.connect(), await server.connect()]
      one.send('publish', { topic: 'r', payload: 1, messageId: 'm1' })
      await calls.reached(1)
      const other = two.publish('r', 2, { messageId: 'm1' })
      await two.caughtUp()
      calls.next()
      const { status, code } = await other
      expect(status === 'error' ? code : status).toBe(outcome)
    },
  )

  test('[P4] is recognised by (user, topic, id): another user’s or topic’s is a publish of its own', async () => {
    await using server = await TestServer.start()
    const [ann, bob] = [await server.connect(), await server.connect({ userId: 'bob' })]
    await ann.publish('a', 1, { messageId: 'm1' })
    expect(await bob.publish('a', 1, { messageId: 'm1' })).toMatchObject({ seq: 2 })
    expect(await ann.publish('b', 1, { messageId: 'm1' })).toMatchObject({ duplicate: false })
  })

  test('[P4] compares the payload as it arrived, before `schema` and `onPublish`', async () => {
    let count = 0
    await using server = await startWith({
      schema: z.object({ n: z.number().default(0) }),
      onPublish: () => ({ count: (count += 1) }),
    })
    const ann = await server.connect()
    await ann.publish('r', {}, { messageId: 'm1' })
    expect(await ann.publish('r', {}, { messageId: 'm1' })).toMatchObject({ duplicate: true })
    expect(await ann.publish('r', { n: 0 }, { messageId: 'm1' })).toMatchObject({
      code: 'id_conflict',
      retryable: false,
    })
    expect(payloadsOf((await server.service.history('r')).messages)).toEqual([{ count: 1 }])
  })

  test('[P4][L7] counts as a request', async () => {
    await using server = await TestServer.start({ limits: { requestBurst: 3 } })
    const ann = await server.connect()
    await ann.publish('a', 1, { messageId: 'm1' })
    const answers = []
    for (let n = 0; n < 4; n += 1) answers.push(await ann.publish('a', 1, { messageId: 'm1' }))
    expect(answers.map(({ code, duplicate }) => code ?? duplicate)).toEqual([
      true,
      true,
      true,
      'rate_limited',
    ])
    await server.runtime.advance(10)
    expect(await ann.publish('a', 1, { messageId: 'm1' })).toMatchObject({ duplicate: true })
  })

  test('[P11] of an ephemeral publish is one more publish, also while the first is in progress', async () => {
    const calls = new Calls()
    await using server = await startWith({ delivery: 'ephemeral', onPublish: () => calls.wait() })
    const [one, two] = [await server.connect(), await server.connect()]
    await two.subscribe('r')
    const acks = [
      one.publish('r', 1, { messageId: 'm1', after: 'nothing' }),
      two.publish('r', 1, { messageId: 'm1' }),
    ]
    await calls.reached(2)
    calls.next()
    calls.next()
    const result = { epoch: '', seq: 0, duplicate: false, deliveredTo: 1 }
    expect(await Promise.all(acks)).toMatchObject([result, result])
    expect(await two.received('r', 2)).toMatchObject([{ seq: 0, epoch: '' }, { seq: 0 }])
  })
})

describe('onPublish and schema', () => {
  test('[R9] onPublish sees the schema’s output, and what it returns is published', async () => {
    const seen: unknown[] = []
    await using server = await startWith({
      schema: z.object({ text: z.string().trim() }),
      onPublish: ({ user, topic, payload, id }) => {
        seen.push([user.userId, topic, payload, id])
        return { ...(payload as object), by: user.userId }
      },
    })
    const ann = await server.connect()
    await ann.publish('r', { text: ' hi ' }, { messageId: 'm1' })
    expect(seen).toEqual([['ann', 'r', { text: 'hi' }, 'm1']])
    expect(payloadsOf((await server.service.history('r')).messages)).toEqual([
      { text: 'hi', by: 'ann' },
    ])
  })

  test('[R9] nothing returned leaves the payload, null is a payload', async () => {
    const results: unknown[] = [undefined, null]
    await using server = await startWith({ onPublish: () => results.shift() })
    const ann = await server.connect()
    await ann.publish('r', 1)
    await ann.publish('r', 2)
    expect(payloadsOf((await server.service.history('r')).messages)).toEqual([1, null])
  })

  test.each<[string, OnPublish, object]>([
    [
      'a RealtimeError is the answer',
      () => {
        throw new RealtimeError('permission_denied', 'no swearing', { details: { word: 3 } })
      },
      { code: 'permission_denied', message: 'no swearing', details: { word: 3 } },
    ],
    [
      'anything else thrown is publish_failed and stays inside',
      () => {
        throw new Error('password of the database')
      },
      { code: 'publish_failed', retryable: true, message: 'the publish to r was not accepted' },
    ],
    [
      'so is what it rejects with',
      () => Promise.reject(new Error('password')),
      { code: 'publish_failed', message: 'the publish to r was not accepted' },
    ],
    [
      'and what is not even an error',
      () => Promise.reject(Object.create(null) as Error),
      { code: 'publish_failed' },
    ],
    ['a payload that is no JSON', () => 1n, { code: 'validation_failed' }],
    ['a payload that is too large', () => 'x'.repeat(70_000), { code: 'payload_too_large' }],
  ])('[R9] %s', async (_name, onPublish, answer) => {
    await using server = await startWith({ onPublish })
    const ann = await server.connect()
    expect(await ann.publish('r', 1)).toMatchObject({ status: 'error', ...answer })
    expect((await server.service.history('r')).seq).toBe(0)
    expect(await ann.publish('other', 1)).toMatchObject({ status: 'success' })
  })

  test('[R9][P7] onPublish has 5 s; what it does later changes nothing, and the operator hears of it', async () => {
    const calls = new Calls()
    await using server = await startWith({ onPublish: () => calls.wait() })
    const ann = await server.connect()
    const timers = server.runtime.pendingTimers
    const published = ann.publish('r', 1)
    const behind = ann.publish('r', 2)
    await calls.reached(1)
    await server.runtime.advance(4_999)
    expect(server.deniedCodes).toEqual([])
    await server.runtime.advance(1)
    expect(await published).toMatchObject({ code: 'publish_failed', retryable: true })
    calls.next()
    await calls.reached(1)
    calls.next()
    expect(await behind).toMatchObject({ seq: 1 })
    expect(server.events('error')).toMatchObject([{ where: 'schema or onPublish of r' }])
    expect(server.runtime.pendingTimers).toBe(timers)
  })

  test('[R9] onPublish is asked before each try of an id that is not accepted, and never after', async () => {
    let calls = 0
    await using server = await startWith({
      onPublish: () => {
        calls += 1
        if (calls < 3) throw new Error('not yet')
      },
    })
    const ann = await server.connect()
    const codes = []
    for (let n = 0; n < 5; n += 1) {
      const { code, duplicate } = await ann.publish('r', 1, { messageId: 'm1' })
      codes.push(code ?? duplicate)
    }
    expect(codes).toEqual(['publish_failed', 'publish_failed', false, true, true])
    expect(calls).toBe(3)
  })

  test('[R9] onPublish comes after rights, rate and schema', async () => {
    let calls = 0
    await using server = await TestServer.start({
      channels: [
        { match: 'none', publish: 'nobody', onPublish: () => void (calls += 1) },
        { match: 'r', publish: 'anyone', schema: z.number(), onPublish: () => void (calls += 1) },
      ],
      limits: { publishBurst: 3 },
    })
    const ann = await server.connect()
    expect(await ann.publish('none', 1)).toMatchObject({ code: 'permission_denied' })
    expect(await ann.publish('r', 'x')).toMatchObject({ code: 'validation_failed' })
    expect(calls).toBe(0)
    expect(await ann.publish('r', 1)).toMatchObject({ seq: 1 })
    expect(await ann.publish('r', 2)).toMatchObject({ code: 'rate_limited' })
    expect(calls).toBe(1)
  })

  test('[P7] a schema that throws or hangs costs its publisher that publish', async () => {
    let answer: () => unknown = () => {
      throw new Error('broken')
    }
    const schema = {
      '~standard': { version: 1, vendor: 'test', validate: () => answer() },
    } as unknown as Schema
    await using server = await startWith({ schema })
    const ann = await server.connect()
    expect(await ann.publish('r', 1)).toMatchObject({ code: 'publish_failed' })
    answer = () => undefined
    expect(await ann.publish('r', 1)).toMatchObject({ code: 'publish_failed' })
    answer = () => new Promise(() => undefined)
    const late = ann.publish('r', 1)
    await ann.caughtUp()
    await server.runtime.advance(5_000)
    expect(await late).toMatchObject({ code: 'publish_failed' })
    answer = () => ({ value: 2 })
    expect(await ann.publish('r', 1)).toMatchObject({ seq: 1 })
  })
})

describe('what a publish costs', () => {
  test('[L6] a burst at once, then so many a second, with the wait in retryAfterMs', async () => {
    await using server = await TestServer.start({
      limits: { publishBurst: 3, publishesPerSecond: 10 },
    })
    const ann = await server.connect()
    const acks = await Promise.all([1, 2, 3, 4].map((n) => ann.publish('a', n)))
    expect(acks.map(({ seq, code }) => seq ?? code)).toEqual([1, 2, 3, 'rate_limited'])
    expect(acks[3]).toMatchObject({ retryable: true, retryAfterMs: 100 })
    await server.runtime.advance(100)
    expect(await ann.publish('a', 5)).toMatchObject({ seq: 4 })
    // Another connection has a budget of its own.
    expect(await (await server.connect()).publish('a', 6)).toMatchObject({ seq: 5 })
    expect(server.events('denied')).toMatchObject([{ code: 'rate_limited', topic: 'a' }])
  })

  test('[L6] bytes have a budget, too, and what it refuses costs no publish', async () => {
    await using server = await TestServer.start({
      limits: {
        publishBurst: 3,
        publishBytesBurst: 1_000,
        maxPayloadBytes: 1_000,
        publishBytesPerSecond: 100,
      },
    })
    const ann = await server.connect()
    expect(await ann.publish('a', 'x'.repeat(898))).toMatchObject({ seq: 1 })
    expect(await ann.publish('a', 'x'.repeat(198))).toMatchObject({
      code: 'rate_limited',
      retryAfterMs: 1_000,
    })
    expect(await ann.publish('a', 1)).toMatchObject({ seq: 2 })
    expect(await ann.publish('a', 2)).toMatchObject({ seq: 3 })
  })

  test('[L7] what is refused before its turn costs a request: nobody may do it without end', async () => {
    await using server = await TestServer.start({
      limits: { requestBurst: 4, maxPayloadBytes: 100 },
    })
    const ann = await server.connect()
    await ann.publish('a', 1, { messageId: 'm1' })
    const answers = [
      await ann.publish('a', 'x'.repeat(100)),
      await ann.publish('a', { _placeholder: true }),
      await ann.publish('a', 2, { messageId: 'm1' }),
      await ann.publish('a', 2, { after: 'm9' }),
      await ann.publish('a', 'x'.repeat(100)),
      await ann.publish('a', 3),
    ]
    expect(answers.map(({ code, seq }) => code ?? seq)).toEqual([
      'payload_too_large',
      'validation_failed',
      'id_conflict',
      'out_of_order',
      'rate_limited',
      2,
    ])
  })

  test('[L5] a payload has a size and a depth', async () => {
    await using server = await TestServer.start({
      limits: { maxPayloadBytes: 20, maxPayloadDepth: 2 },
    })
    const ann = await server.connect()
    // ä is two bytes of UTF-8, and the quotes count.
    expect(await ann.publish('a', 'ä'.repeat(9))).toMatchObject({ seq: 1 })
    expect(await ann.publish('a', 'ä'.repeat(10))).toMatchObject({
      code: 'payload_too_large',
      retryable: false,
      details: { bytes: 22, maxPayloadBytes: 20 },
    })
    expect(await ann.publish('a', [[1]])).toMatchObject({ seq: 2 })
    expect(await ann.publish('a', [[[]]])).toMatchObject({ code: 'invalid_message' })
  })

  test('[L11] a publish to one more topic than may be live is refused, the others go on', async () => {
    await using server = await TestServer.start({ limits: { maxTopics: 2 } })
    const ann = await server.connect()
    await ann.subscribe('a')
    await ann.publish('b', 1)
    expect(await ann.publish('c', 1)).toMatchObject({ code: 'channel_full', retryable: true })
    expect(await ann.subscribe('c')).toMatchObject({ code: 'channel_full' })
    expect(await ann.publish('a', 1)).toMatchObject({ seq: 1 })
    server.service.cleanupEmptyChannels()
    expect(await ann.publish('c', 1)).toMatchObject({ seq: 1 })
  })

  test('[P6] what the broker refuses is never shown, and says that it was the broker', async () => {
    const broker = new GatedBroker()
    await using server = await TestServer.start({ broker })
    const ann = await server.connect()
    await ann.subscribe('a')
    broker.hold('publish')
    const refused = ann.publish('a', 1)
    await broker.reached('publish')
    broker.next('publish', new Error('disk full'))
    expect(await refused).toMatchObject({
      code: 'publish_failed',
      retryable: true,
      message: 'the broker did not take the publish to a',
    })
    const away = ann.publish('a', 2)
    await broker.reached('publish')
    broker.next('publish', new RealtimeError('broker_unavailable', 'away'))
    expect(await away).toMatchObject({ code: 'broker_unavailable' })
    broker.release('publish')
    await ann.publish('a', 3)
    expect(payloadsOf(await ann.received('a', 1))).toEqual([3])
    expect(server.service.cleanupEmptyChannels()).toBe(0)
  })
})
