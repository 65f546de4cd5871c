import { describe, expect, test } from 'vitest'
import { acceptPublish } from '../testing/answers.js'
import { connectedEvent, type FakeLink } from '../testing/fake-server.js'
import { failureOf, outcome, testClient } from '../testing/test-client.js'

const UNKNOWN = { outcome: 'unknown' }
const ids = (link: FakeLink): string[] => link.sent('publish').map(({ messageId }) => messageId)

describe('bounds', () => {
  test('[L13] past maxQueueSize the oldest that was never sent is dropped', async () => {
    const { client, connected, runtime } = testClient({ maxQueueSize: 2 })
    const [first, second, third] = ['1', '2', '3'].map((id) =>
      failureOf(client.publish('room', id, { id })),
    )
    expect(await first).toMatchObject({ code: 'queue_overflow', retryable: true })
    expect(await first).not.toHaveProperty('details')
    const link = await connected()
    await runtime.settle()
    expect(ids(link)).toEqual(['2', '3'])
    await client.close()
    await Promise.all([second, third])
  })

  test('[L13] when all were sent, the new one is refused', async () => {
    const { client, runtime, connected, outbox } = testClient({ maxQueueSize: 2 })
    const link = await connected()
    const sent = ['1', '2'].map((id) => failureOf(client.publish('room', id, { id })))
    await runtime.settle()
    expect(await failureOf(client.publish('room', 3, { id: '3' }))).toMatchObject({
      code: 'queue_overflow',
    })
    expect(outbox.at(-1)).toMatchObject({ id: '3', state: 'failed' })
    expect(ids(link)).toEqual(['1', '2'])
    await client.close()
    await Promise.all(sent)
  })

  test('[L13] past maxQueueBytes, too; one that can never fit drops nobody', async () => {
    const { client } = testClient({ maxQueueBytes: 100 })
    const [first, second] = ['1', '2'].map((id) =>
      failureOf(client.publish('room', 'x'.repeat(48), { id })),
    )
    expect(client.getStats()).toMatchObject({ queueSize: 2, queueBytes: 100 })
    expect(await failureOf(client.publish('room', 'x'.repeat(99)))).toMatchObject({
      code: 'queue_overflow',
    })
    expect(client.getStats().queueSize).toBe(2)
    const third = failureOf(client.publish('room', 1))
    expect(await first).toMatchObject({ code: 'queue_overflow' })
    expect(client.getStats()).toMatchObject({ queueSize: 2, queueBytes: 51 })
    await client.close()
    await Promise.all([second, third])
  })
})

describe('time', () => {
  test('[L14][P5] offline longer than maxOfflineMs: expired; sleep counts', async () => {
    const { client, runtime } = testClient({ maxOfflineMs: 60_000 })
    const published = failureOf(client.publish('room', 1))
    await runtime.advance(20_000)
    runtime.sleep(30_000)
    await runtime.advance(9_999)
    expect(await outcome(published)).toBe('pending')
    await runtime.advance(100)
    expect(await published).toMatchObject({ code: 'expired' })
    expect(await published).not.toHaveProperty('details')
  })

  test('[L14] what outlived maxOfflineMs in a sleep is not sent on waking', async () => {
    const { client, runtime, connected } = testClient({ maxOfflineMs: 60_000 })
    const published = failureOf(client.publish('room', 1))
    await runtime.advance(1_000)
    runtime.sleep(3_600_000)
    const link = await connected()
    expect(await published).toMatchObject({ code: 'expired' })
    expect(ids(link)).toEqual([])
  })

  test('[L14] online without an answer until publishDeadlineMs: timeout, outcome unknown', async () => {
    const { client, runtime, connected } = testClient()
    await connected()
    const published = failureOf(client.publish('room', 1))
    await runtime.advance(59_999)
    expect(await outcome(published)).toBe('pending')
    await runtime.advance(2)
    expect(await published).toMatchObject({ code: 'timeout', details: UNKNOWN })
  })

  test('[L14] time offline does not count for the deadline', async () => {
    const { client, server, runtime, connected } = testClient()
    const published = failureOf(client.publish('room', 1))
    await runtime.advance(3_600_000)
    const link = await connected()
    await runtime.advance(50_000)
    link.down()
    server.onOpen = () => undefined
    await runtime.advance(20_000)
    expect(await outcome(published)).toBe('pending')
    server.link.admit()
    await runtime.advance(9_000)
    expect(await outcome(published)).toBe('pending')
    await runtime.advance(1_100)
    expect(await published).toMatchObject({ code: 'timeout' })
  })

  test.each(['broker_unavailable', 'server_closing'] as const)(
    '[L14] time in which the server answers %s does not count for the deadline',
    async (code) => {
      const { client, runtime, connected } = testClient()
      const link = await connected()
      const published = client.publish('room', 1)
      const behind = client.publish('room', 2)
      await runtime.settle()
      for (let round = 0; round < 60; round += 1) {
        const [head, next] = link.waiting('publish')
        head?.refuse(code)
        next?.refuse('out_of_order')
        await runtime.advance(5_000)
      }
      expect(await outcome(published)).toBe('pending')
      expect(await outcome(behind)).toBe('pending')
      acceptPublish(link, 1)
      await runtime.settle()
      acceptPublish(link, 2)
      expect(await published).toMatchObject({ seq: 1 })
      expect(await behind).toMatchObject({ seq: 2 })
    },
  )

  test('[L14] other refusals do count', async () => {
    const { client, runtime, connected } = testClient()
    const link = await connected()
    const published = failureOf(client.publish('room', 1))
    await runtime.settle()
    for (let round = 0; round < 13; round += 1) {
      link.waiting('publish')[0]?.refuse('publish_failed')
      await runtime.advance(5_000)
    }
    expect(await published).toMatchObject({ code: 'timeout', details: UNKNOWN })
  })

  test('[L14] ttlMs counts all time: queued, online, asleep', async () => {
    const { client, runtime, connected } = testClient()
    const offline = failureOf(client.publish('room', 1, { ttlMs: 500 }))
    await runtime.advance(500)
    expect(await offline).toMatchObject({ code: 'expired' })
    await connected()
    const sent = failureOf(client.publish('room', 2, { ttlMs: 500 }))
    await runtime.advance(500)
    expect(await sent).toMatchObject({ code: 'expired', details: UNKNOWN })
    client.disconnect()
    const asleep = failureOf(client.publish('room', 3, { ttlMs: 60_000 }))
    runtime.sleep(60_000)
    const link = await connected()
    expect(await asleep).toMatchObject({ code: 'expired' })
    expect(ids(link)).toEqual([])
  })

  test('[L14][P5] what outlived its time in a sleep is not sent again on waking', async () => {
    const { client, runtime, connected } = testClient()
    const link = await connected()
    const published = failureOf(client.publish('room', 1, { ttlMs: 60_000 }))
    await runtime.settle()
    link.waiting('publish')[0]?.refuse('publish_failed', { retryAfterMs: 5_000 })
    runtime.sleep(60_000)
    await runtime.advance(5_000)
    expect(ids(link)).toHaveLength(1)
    expect(await published).toMatchObject({ code: 'expired', details: UNKNOWN })
  })

  test('[L14] an attempt without an answer: the link is checked; alive, nothing is resent', async () => {
    const { client, server, runtime, connected } = testClient()
    const link = await connected()
    const published = client.publish('room', 1)
    await runtime.advance(9_999)
    expect(link.sent('heartbeat')).toHaveLength(0)
    await runtime.advance(1)
    expect(link.sent('heartbeat')).toHaveLength(1)
    await runtime.advance(20_000)
    expect(ids(link)).toHaveLength(1)
    expect(server.links).toHaveLength(1)
    // Late, but not too late.
    acceptPublish(link, 1)
    expect(await published).toMatchObject({ seq: 1 })
  })

  test('[L14] dead: it is dropped after 5 s, and the resend goes over the new one', async () => {
    const { client, server, runtime, connected, outbox } = testClient()
    const link = await connected()
    const published = client.publish('room', 1, { id: 'm' })
    await runtime.settle()
    link.blackHole = true
    await runtime.advance(15_000)
    expect(link.dropped).toBe(true)
    await runtime.advance(2_000)
    expect(ids(server.link)).toEqual(['m'])
    acceptPublish(server.link, 1, { duplicate: true })
    expect(await published).toMatchObject({ duplicate: true })
    expect(outbox.map(({ state }) => state)).toEqual([
      'queued',
      'sent',
      'queued',
      'sent',
      'acknowledged',
    ])
  })
})

describe('resending', () => {
  /** A publish that was sent, and whose link was lost before the answer. */
  async function orphan(options = {}) {
    const world = testClient({ publishDeadlineMs: 3_600_000, ...options })
    const link = await world.connected()
    const published = failureOf(world.client.publish('room', 1, { id: 'm' }))
    await world.runtime.settle()
    world.client.disconnect()
    return Object.assign(world, { link, published })
  }

  test('[P4] while at least 30 s of the window are left it is resent with the same id', async () => {
    const { runtime, connected } = await orphan()
    await runtime.advance(270_000)
    expect(ids(await connected())).toEqual(['m'])
  })

  test('[P4] with less than 30 s left it settles as timeout, outcome unknown, and is not resent', async () => {
    const { runtime, connected, published } = await orphan()
    await runtime.advance(270_001)
    const link = await connected()
    expect(await published).toMatchObject({ code: 'timeout', details: UNKNOWN })
    expect(ids(link)).toEqual([])
  })

  test('[P4] the window is counted by a clock that counts sleep', async () => {
    const { runtime, connected, published } = await orphan()
    await runtime.advance(1_000)
    runtime.sleep(270_000)
    const link = await connected()
    expect(await published).toMatchObject({ code: 'timeout', details: UNKNOWN })
    expect(ids(link)).toEqual([])
  })

  test('[P4] it is counted from the first sending, not from the last', async () => {
    const { runtime, client, connected, published } = await orphan()
    await runtime.advance(200_000)
    expect(ids(await connected())).toEqual(['m'])
    client.disconnect()
    await runtime.advance(71_000)
    expect(ids(await connected())).toEqual([])
    expect(await published).toMatchObject({ code: 'timeout' })
  })

  test('[P4][L17] a shorter window in an acknowledgement counts', async () => {
    const { client, runtime, connected } = testClient({ publishDeadlineMs: 3_600_000 })
    const link = await connected()
    const first = client.publish('room', 1)
    await runtime.settle()
    acceptPublish(link, 1, { windowMs: 60_000 })
    await first
    const published = failureOf(client.publish('room', 2))
    await runtime.settle()
    client.disconnect()
    await runtime.advance(30_001)
    expect(ids(await connected())).toEqual([])
    expect(await published).toMatchObject({ code: 'timeout', details: UNKNOWN })
  })

  test('[P4] another windowEpoch: what was once on the wire is not resent, the rest is sent', async () => {
    const { client, server, connected, published } = await orphan()
    const waiting = client.publish('room', 2, { id: 'never-sent' })
    server.welcome = { windowEpoch: 'window-2' }
    const link = await connected()
    expect(await published).toMatchObject({ code: 'timeout', details: UNKNOWN })
    expect(link.sent('publish')).toMatchObject([{ messageId: 'never-sent' }])
    expect(link.sent('publish')[0]).not.toHaveProperty('after')
    acceptPublish(link, 1)
    await waiting
  })

  test('[P4] what was never on the wire may be sent at any age', async () => {
    const { client, runtime, connected } = testClient()
    const published = client.publish('room', 1, { id: 'old' })
    await runtime.advance(3_600_000)
    const link = await connected()
    expect(ids(link)).toEqual(['old'])
    acceptPublish(link, 1)
    await published
  })

  test('[P4] refused by the server, it is as if never sent: a later window does not matter', async () => {
    const { client, server, runtime, connected } = testClient()
    const link = await connected()
    const published = client.publish('room', 1, { id: 'm' })
    await runtime.settle()
    link.waiting('publish')[0]?.refuse('broker_unavailable')
    client.disconnect()
    server.welcome = { windowEpoch: 'window-2' }
    await runtime.advance(600_000)
    expect(ids(await connected())).toEqual(['m'])
    acceptPublish(server.link, 1)
    await published
  })

  test('[P4] refused on a second link, the first sending still counts', async () => {
    const { client, server, runtime, connected, published } = await orphan()
    const link = await connected()
    link.waiting('publish')[0]?.refuse('broker_unavailable')
    client.disconnect()
    server.welcome = { windowEpoch: 'window-2' }
    await runtime.advance(1_000)
    expect(ids(await connected())).toEqual([])
    expect(await published).toMatchObject({ code: 'timeout', details: UNKNOWN })
  })

  test('[P1][P4] all that was unanswered is resent in call order, before newer ones', async () => {
    const { client, runtime, connected } = testClient()
    const link = await connected()
    const publish = (id: string): Promise<unknown> => failureOf(client.publish('room', id, { id }))
    const before = ['a', 'b', 'c'].map(publish)
    await runtime.settle()
    const b = link.waiting('publish')[1]
    b?.ok({ messageId: 'b', topic: 'room', epoch: 'e', seq: 2, deliveredTo: 0, duplicate: false })
    link.down()
    const after = publish('d')
    await runtime.advance(2_000)
    const next = await connected()
    expect(next.sent('publish')).toMatchObject([
      { messageId: 'a' },
      { messageId: 'c', after: 'a' },
      { messageId: 'd', after: 'c' },
    ])
    await client.close()
    await Promise.all([...before, after])
  })

  test('[P4] resends cost requests of [L7], too', async () => {
    const { client, server, runtime, connected } = testClient()
    const { limits } = connectedEvent()
    server.welcome = { limits: { ...limits, requestBurst: 10, requestsPerSecond: 10 } }
    const link = await connected()
    const all = Array.from({ length: 20 }, (_, index) =>
      failureOf(client.publish('room', index, { id: `m-${index}` })),
    )
    await runtime.settle()
    expect(ids(link)).toHaveLength(20)
    link.down()
    await runtime.advance(1_000)
    const resent = ids(await connected()).length
    expect(resent).toBeLessThan(20)
    await runtime.advance(3_000)
    expect(ids(server.link)).toHaveLength(20)
    await client.close()
    await Promise.all(all)
  })
})

describe('settling', () => {
  test('[P5] once: an answer after the end changes nothing', async () => {
    const { client, runtime, connected, outbox } = testClient()
    const link = await connected()
    const controller = new AbortController()
    const published = failureOf(client.publish('room', 1, { signal: controller.signal }))
    await runtime.settle()
    controller.abort(new Error('the user left'))
    acceptPublish(link, 1)
    controller.abort()
    expect(await published).toMatchObject({
      code: 'aborted',
      details: UNKNOWN,
      cause: { message: 'the user left' },
    })
    expect(outbox.map(({ state }) => state)).toEqual(['queued', 'sent', 'failed'])
    expect(client.getStats()).toMatchObject({ acknowledged: 0, failed: 1, queueSize: 0 })
  })

  test('[P5] what was rejected is never sent afterwards', async () => {
    const { client, connected } = testClient()
    const controller = new AbortController()
    const aborted = failureOf(client.publish('room', 1, { signal: controller.signal }))
    controller.abort()
    expect(await aborted).toMatchObject({ code: 'aborted' })
    expect(await aborted).not.toHaveProperty('details')
    expect(ids(await connected())).toEqual([])
  })

  test('[P5] aborted in the middle of a lane: its successors are not held up', async () => {
    const { client, runtime, connected } = testClient()
    const link = await connected()
    const controller = new AbortController()
    const first = failureOf(client.publish('room', 1, { id: 'a', signal: controller.signal }))
    const second = client.publish('room', 2, { id: 'b' })
    await runtime.settle()
    controller.abort()
    const [a, b] = link.waiting('publish')
    a?.refuse('rate_limited', { retryAfterMs: 10 })
    b?.refuse('out_of_order')
    await runtime.advance(1_000)
    expect(link.sent('publish').at(-1)).toEqual({ topic: 'room', payload: 2, messageId: 'b' })
    acceptPublish(link, 1)
    await second
    expect(await first).toMatchObject({ code: 'aborted' })
  })

  test('[P5] close() settles everything, and nothing is accepted afterwards', async () => {
    const { client, runtime, connected } = testClient()
    await connected()
    const sent = failureOf(client.publish('room', 1))
    await runtime.settle()
    const waiting = failureOf(client.publish('room', 2))
    await client.close()
    expect(await sent).toMatchObject({ code: 'closed', details: UNKNOWN })
    expect(await waiting).toMatchObject({ code: 'closed' })
    expect(await waiting).not.toHaveProperty('details')
    expect(await failureOf(client.publish('room', 3))).toMatchObject({ code: 'closed' })
  })

  test('[P5] a listener of onOutbox that throws or publishes breaks nothing', async () => {
    const { client, runtime, connected } = testClient()
    const link = await connected()
    let once = true
    client.onOutbox(({ state }) => {
      if (state === 'sent' && once) {
        once = false
        void failureOf(client.publish('room', 'from a listener', { id: 'second' }))
      }
      throw new Error('from a listener')
    })
    const published = client.publish('room', 1, { id: 'first' })
    await runtime.settle()
    expect(ids(link)).toEqual(['first', 'second'])
    acceptPublish(link, 1)
    await published
  })
})

describe('what may not wait', () => {
  const rules = [
    {
      match: 'typing:*',
      subscribe: 'anyone',
      publish: 'anyone',
      delivery: 'ephemeral',
    } as const,
    { match: '*', subscribe: 'anyone', publish: 'anyone' } as const,
  ]

  test('[P11] queue: false rejects with not_connected while offline', async () => {
    const { client, connected } = testClient()
    const published = failureOf(client.publish('room', 1, { queue: false }))
    expect(await published).toMatchObject({ code: 'not_connected', retryable: true })
    expect(ids(await connected())).toEqual([])
  })

  test('[P11] queue: false that loses its link rejects, outcome unknown', async () => {
    const { client, runtime, connected } = testClient()
    const link = await connected()
    const published = failureOf(client.publish('room', 1, { queue: false }))
    await runtime.settle()
    link.down()
    expect(await published).toMatchObject({ code: 'not_connected', details: UNKNOWN })
  })

  test('[P11] before the first connected it waits; on an ephemeral topic it then rejects', async () => {
    const { client, server, connected } = testClient()
    server.welcome = { rules }
    const ephemeral = failureOf(client.publish('typing:1', 1))
    const recoverable = client.publish('room', 2)
    expect(await outcome(ephemeral)).toBe('pending')
    const link = await connected()
    expect(await ephemeral).toMatchObject({ code: 'not_connected' })
    expect(link.sent('publish')).toMatchObject([{ topic: 'room' }])
    acceptPublish(link, 1)
    await recoverable
  })

  test('[P11] offline on a topic that is known to be ephemeral: not_connected', async () => {
    const { client, server, runtime, connected } = testClient()
    server.welcome = { rules }
    const link = await connected()
    const sent = failureOf(client.publish('typing:1', 1))
    await runtime.settle()
    expect(ids(link)).toHaveLength(1)
    link.down()
    expect(await sent).toMatchObject({ code: 'not_connected', details: UNKNOWN })
    expect(await failureOf(client.publish('typing:1', 2))).toMatchObject({ code: 'not_connected' })
    await runtime.advance(2_000)
    expect(ids(server.link)).toEqual([])
  })
})
