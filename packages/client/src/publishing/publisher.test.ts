import { describe, expect, test } from 'vitest'
import { acceptPublish } from '../testing/answers.js'
import { connectedEvent, type FakeLink } from '../testing/fake-server.js'
import { failureOf, outcome, testClient } from '../testing/test-client.js'

const ids = (link: FakeLink): string[] => link.sent('publish').map(({ messageId }) => messageId)
const afters = (link: FakeLink): unknown[] =>
  link.sent('publish').map(({ messageId, after }) => [messageId, after ?? null])

/** Publishes one by one under these ids; failures are kept, nothing is unhandled. */
function publishAll(
  { client }: ReturnType<typeof testClient>,
  topic: string,
  names: readonly string[],
): { settled: Promise<unknown>[] } {
  const settled = names.map((id) =>
    client.publish(topic, id, { id }).then(
      (ack) => ack.seq,
      (error: unknown) => error,
    ),
  )
  return { settled }
}

describe('one publish', () => {
  test('[W12] it is sent with its id, and resolves with the acknowledgement', async () => {
    const { client, outbox, server, runtime, connected } = testClient()
    await connected()
    const published = client.publish('room', { text: 'hi' })
    await runtime.settle()
    const [sent] = server.link.sent('publish')
    expect(sent).toEqual({
      topic: 'room',
      payload: { text: 'hi' },
      messageId: expect.stringMatching(/^[A-Za-z0-9_-]{16,64}$/) as unknown,
    })
    const messageId = sent?.messageId ?? ''
    acceptPublish(server.link, 42, { deliveredTo: 3, windowMs: 300_000 })
    const ack = {
      messageId,
      topic: 'room',
      epoch: 'e',
      seq: 42,
      deliveredTo: 3,
      duplicate: false,
    }
    expect(await published).toEqual(ack)
    expect(outbox).toEqual([
      { id: messageId, topic: 'room', state: 'queued' },
      { id: messageId, topic: 'room', state: 'sent' },
      { id: messageId, topic: 'room', state: 'acknowledged', ack },
    ])
    expect(client.getStats()).toMatchObject({ published: 1, acknowledged: 1, failed: 0 })
  })

  test('[P4] what the caller changes later changes nothing: every sending is the same', async () => {
    const world = testClient()
    const { client, server, runtime, connected } = world
    const link = await connected()
    const payload = { list: [1], nested: { a: 1 } }
    const published = failureOf(client.publish('room', payload, { id: 'm' }))
    payload.list.push(2)
    await runtime.settle()
    payload.nested.a = 2
    link.down()
    await runtime.advance(2_000)
    const first = { list: [1], nested: { a: 1 } }
    expect(link.sent('publish')).toMatchObject([{ payload: first, messageId: 'm' }])
    expect(server.link.sent('publish')).toMatchObject([{ payload: first, messageId: 'm' }])
    await client.close()
    await published
  })

  test('[W12] binary parts are copied, too', async () => {
    const { client, server, runtime, connected } = testClient()
    server.welcome = {
      rules: [{ match: 'b:*', subscribe: 'anyone', publish: 'anyone', binary: true }],
    }
    await connected()
    const bytes = new Uint8Array([1, 2, 3])
    void failureOf(client.publish('b:1', { bytes }))
    bytes[0] = 9
    await runtime.settle()
    expect(server.link.sent('publish')).toMatchObject([
      { payload: { bytes: new Uint8Array([1, 2, 3]) } },
    ])
  })

  test('[P5] misuse rejects, is told, and sends nothing', async () => {
    const { client, server, runtime, outbox, connected } = testClient()
    await connected()
    const circular: Record<string, unknown> = {}
    circular['self'] = circular
    const trap = {
      get text(): string {
        throw new Error('from a getter')
      },
    }
    const deep = JSON.parse('['.repeat(65) + ']'.repeat(65)) as unknown
    const cases: [Promise<unknown>, string][] = [
      [client.publish('a::b', 1), 'invalid_topic'],
      [client.publish(7 as never, 1), 'invalid_message'],
      [client.publish('room', undefined), 'validation_failed'],
      [client.publish('room', circular), 'validation_failed'],
      [client.publish('room', trap), 'validation_failed'],
      [client.publish('room', { _placeholder: true, num: 0 }), 'validation_failed'],
      [client.publish('room', deep), 'invalid_message'],
      [client.publish('room', 1, { id: 'not an id' }), 'invalid_options'],
      [client.publish('room', 1, { ttlMs: 0 }), 'invalid_options'],
      [client.publish('room', 1, { ttlMs: Number.NaN }), 'invalid_options'],
      [client.publish('room', 1, { signal: AbortSignal.abort() }), 'aborted'],
    ]
    for (const [published, code] of cases)
      expect(await failureOf(published)).toMatchObject({ code })
    await runtime.settle()
    expect(server.link.requests).toEqual([])
    expect(outbox).toHaveLength(cases.length)
    expect(outbox.every(({ state, error }) => state === 'failed' && error !== undefined)).toBe(true)
    expect(client.getStats()).toMatchObject({ published: 11, failed: 11, queueSize: 0 })
  })

  test('[P5] a final refusal rejects with the server’s code, and its outcome is known', async () => {
    const { client, server, runtime, connected } = testClient()
    await connected()
    const published = failureOf(client.publish('room', 1))
    await runtime.settle()
    server.link.waiting('publish')[0]?.refuse('validation_failed', { details: { issues: [] } })
    expect(await published).toMatchObject({ code: 'validation_failed', details: { issues: [] } })
    expect(await published).not.toHaveProperty('details.outcome')
  })

  test('[P5] an answer that makes no sense settles it, outcome unknown', async () => {
    const { client, server, runtime, connected } = testClient()
    await connected()
    const published = failureOf(client.publish('room', 1))
    await runtime.settle()
    server.link.waiting('publish')[0]?.ok({ nonsense: true })
    expect(await published).toMatchObject({
      code: 'invalid_message',
      details: { outcome: 'unknown' },
    })
  })
})

describe('order', () => {
  test('[P1][W12] pipelined in call order, each names the one before', async () => {
    const world = testClient()
    const { server, runtime, connected } = world
    await connected()
    const { settled } = publishAll(world, 'room', ['a', 'b', 'c'])
    publishAll(world, 'other', ['x'])
    await runtime.settle()
    expect(afters(server.link)).toEqual([
      ['a', null],
      ['b', 'a'],
      ['c', 'b'],
      ['x', null],
    ])
    acceptPublish(server.link, 1)
    publishAll(world, 'room', ['d'])
    await runtime.settle()
    expect(afters(server.link).at(-1)).toEqual(['d', 'c'])
    for (const seq of [2, 3]) acceptPublish(server.link, seq)
    expect(await Promise.all(settled)).toEqual([1, 2, 3])
  })

  test('[W12] acknowledged before the next is sent: it names nothing', async () => {
    const world = testClient()
    const { server, runtime, connected } = world
    await connected()
    publishAll(world, 'room', ['a'])
    await runtime.settle()
    acceptPublish(server.link, 1)
    publishAll(world, 'room', ['b'])
    await runtime.settle()
    expect(afters(server.link)).toEqual([
      ['a', null],
      ['b', null],
    ])
  })

  test('[P1] a refusal that is retried is never overtaken; other topics go on', async () => {
    const world = testClient()
    const { server, runtime, connected } = world
    const link = await connected()
    const { settled } = publishAll(world, 'room', ['a', 'b', 'c'])
    await runtime.settle()
    const [a, b, c] = link.waiting('publish')
    a?.refuse('publish_failed', { retryAfterMs: 500 })
    publishAll(world, 'other', ['x'])
    publishAll(world, 'room', ['d'])
    await runtime.advance(1_000)
    // Two of the topic are still unanswered: nothing of it is sent.
    expect(ids(link)).toEqual(['a', 'b', 'c', 'x'])
    b?.refuse('out_of_order')
    c?.refuse('out_of_order')
    await runtime.advance(500)
    // One first: whether the reason has gone is not known yet.
    expect(afters(link).slice(4)).toEqual([['a', null]])
    link
      .waiting('publish')
      .find(({ data }) => data.messageId === 'a')
      ?.ok({
        messageId: 'a',
        topic: 'room',
        epoch: 'e',
        seq: 1,
        deliveredTo: 0,
        duplicate: false,
      })
    await runtime.settle()
    expect(afters(link).slice(5)).toEqual([
      ['b', null],
      ['c', 'b'],
      ['d', 'c'],
    ])
    expect(await settled[0]).toBe(1)
    expect(server.links).toHaveLength(1)
  })

  test('[W12] `after` is left out where the one before was rejected for good', async () => {
    const world = testClient()
    const { runtime, connected } = world
    const link = await connected()
    const { settled } = publishAll(world, 'room', ['a', 'b', 'c'])
    await runtime.settle()
    const [a, b, c] = link.waiting('publish')
    a?.refuse('validation_failed')
    b?.refuse('out_of_order')
    c?.refuse('out_of_order')
    await runtime.settle()
    expect(await settled[0]).toMatchObject({ code: 'validation_failed' })
    expect(afters(link).slice(3)).toEqual([['b', null]])
    acceptPublish(link, 1)
    await runtime.settle()
    expect(afters(link).slice(4)).toEqual([['c', null]])
    acceptPublish(link, 2)
    expect(await Promise.all(settled.slice(1))).toEqual([1, 2])
  })

  test('[P1] refused again and again, it backs off', async () => {
    const world = testClient()
    const { runtime, connected } = world
    const link = await connected()
    publishAll(world, 'room', ['a'])
    await runtime.settle()
    for (let round = 0; round < 500; round += 1) {
      link.waiting('publish')[0]?.refuse('out_of_order')
      await runtime.advance(100)
    }
    expect(ids(link).length).toBeLessThan(40)
    expect(ids(link).length).toBeGreaterThan(8)
  })

  test('[P1] a queue of the past goes in call order, across topics', async () => {
    const world = testClient()
    const { runtime, connected } = world
    publishAll(world, 'a', ['1'])
    publishAll(world, 'b', ['2'])
    publishAll(world, 'a', ['3'])
    const link = await connected()
    await runtime.settle()
    expect(ids(link)).toEqual(['1', '2', '3'])
  })
})

describe('pace', () => {
  test('[L6] the burst at once, the rest at the rate', async () => {
    const world = testClient({ maxQueueSize: 2_000 })
    const { server, runtime, connected } = world
    const link = await connected()
    server.onRequest = ({ event }) =>
      event === 'publish' && queueMicrotask(() => acceptPublish(link, 1))
    publishAll(
      world,
      'room',
      Array.from({ length: 400 }, (_, index) => `m-${index}`),
    )
    await runtime.settle()
    expect(ids(link)).toHaveLength(180)
    await runtime.advance(1_000)
    expect(ids(link)).toHaveLength(270)
    await runtime.advance(2_000)
    expect(ids(link)).toEqual(Array.from({ length: 400 }, (_, index) => `m-${index}`))
  })

  test('[L6] bytes are paced, too', async () => {
    const { client, server, runtime, connected } = testClient()
    const { limits } = connectedEvent()
    server.welcome = {
      limits: { ...limits, publishBytesPerSecond: 10_000, publishBytesBurst: 20_000 },
    }
    const link = await connected()
    for (let count = 0; count < 4; count += 1) {
      void failureOf(client.publish('room', 'x'.repeat(8_998)))
    }
    await runtime.settle()
    expect(ids(link)).toHaveLength(2)
    await runtime.advance(1_001)
    expect(ids(link)).toHaveLength(3)
  })

  test('[L15] no more than 200 are unanswered at once', async () => {
    const world = testClient()
    const { client, server, runtime, connected } = world
    const { limits } = connectedEvent()
    server.welcome = { limits: { ...limits, publishBurst: 10_000 } }
    const link = await connected()
    publishAll(
      world,
      'room',
      Array.from({ length: 500 }, (_, index) => `m-${index}`),
    )
    await runtime.settle()
    expect(ids(link)).toHaveLength(200)
    expect(client.getStats().bounds['publishesUnanswered']).toEqual({ used: 200, cap: 200 })
    acceptPublish(link, 1)
    await runtime.settle()
    expect(ids(link)).toHaveLength(201)
  })

  test('[L6] rate_limited: everything waits as long as was said, and what was thought to be left is not', async () => {
    const world = testClient()
    const { server, runtime, connected } = world
    const { limits } = connectedEvent()
    server.welcome = { limits: { ...limits, publishBurst: 10_000 } }
    const link = await connected()
    publishAll(world, 'room', ['a', 'b'])
    await runtime.settle()
    const [a, b] = link.waiting('publish')
    a?.refuse('rate_limited', { retryAfterMs: 700 })
    b?.refuse('out_of_order')
    publishAll(world, 'other', ['x', 'y'])
    await runtime.advance(699)
    expect(ids(link)).toEqual(['a', 'b'])
    await runtime.advance(400)
    // From here on at the rate, not by the burst that was promised.
    expect(ids(link).slice(2)).toEqual(['a', 'x', 'y'])
  })
})

describe('rights and limits that are known here', () => {
  const rules = [
    { match: 'open:*', subscribe: 'anyone', publish: 'anyone' } as const,
    { match: 'ask:*', subscribe: 'ask', publish: 'ask' } as const,
  ]

  test('[R8] what the rules deny rejects with permission_denied, without a request', async () => {
    const { client, server, runtime, connected } = testClient()
    server.welcome = { rules }
    await connected()
    expect(await failureOf(client.publish('system:news', 1))).toMatchObject({
      code: 'permission_denied',
      details: { topic: 'system:news', action: 'publish' },
    })
    for (const topic of ['open:1', 'ask:1']) void failureOf(client.publish(topic, 1))
    await runtime.settle()
    expect(server.link.sent('publish')).toMatchObject([{ topic: 'open:1' }, { topic: 'ask:1' }])
  })

  test('[R8] not connected, the server is asked: what was queued is judged by its rules', async () => {
    const { client, server, connected } = testClient()
    server.welcome = { rules }
    const denied = failureOf(client.publish('system:news', 1))
    expect(await outcome(denied)).toBe('pending')
    await connected()
    expect(await denied).toMatchObject({ code: 'permission_denied' })
    expect(server.link.sent('publish')).toEqual([])
  })

  test('[L5] payloads above the server’s limit', async () => {
    const { client, server, runtime, connected } = testClient()
    const early = failureOf(client.publish('room', 'x'.repeat(70_000)))
    await connected()
    expect(await early).toMatchObject({ code: 'payload_too_large' })
    expect(await failureOf(client.publish('room', '\u20ac'.repeat(21_850)))).toMatchObject({
      code: 'payload_too_large',
    })
    void failureOf(client.publish('room', '\u20ac'.repeat(21_844)))
    await runtime.settle()
    expect(server.link.sent('publish')).toHaveLength(1)
  })

  test('[L5] bytes where the rule does not admit them', async () => {
    const { client, server, runtime, connected } = testClient()
    server.welcome = { rules }
    const early = failureOf(client.publish('open:1', new Uint8Array(3)))
    await connected()
    expect(await early).toMatchObject({ code: 'validation_failed' })
    expect(await failureOf(client.publish('open:1', [new Uint8Array(3)]))).toMatchObject({
      code: 'validation_failed',
    })
    await runtime.settle()
    expect(server.link.sent('publish')).toEqual([])
  })
})
