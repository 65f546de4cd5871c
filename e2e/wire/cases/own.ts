import { expect, test } from 'vitest'
import { Clients, freshName, freshTopic, type Bench } from '../plain-client.js'
import { WIRE_OWN_EVENT } from '../server-rules.js'
import { seqsOf } from '../shapes.js'
import type { RunningServer, WireTarget } from '../target.js'

function another({ own }: WireTarget): Promise<RunningServer> {
  if (own === undefined) throw new Error('this case needs a server of its own')
  return own.another()
}

/** What needs a rule's function, the application's own events, or a server that stops. */
export function ownCases({ target, transport, clients }: Bench): void {
  test('[W7] an event of the application’s own is its business', async () => {
    const client = await clients.connect(transport)
    for (let count = 0; count < 120; count += 1) client.send(WIRE_OWN_EVENT, 'malformed', count)
    expect(await client.request(WIRE_OWN_EVENT, { x: 1 })).toEqual({ own: { x: 1 } })
    expect(client.socket.connected).toBe(true)
  })

  test('[W6] a slow topic keeps its own order, and no other waits for it', async () => {
    const slow = freshTopic('slow')
    const quick = freshTopic()
    const client = await clients.connect(transport)
    await client.subscribe(slow)
    await Promise.all([
      client.publish(slow, 'first'),
      client.publish(slow, 'second'),
      client.request('history', { topic: slow }),
      client.publish(quick, 'quick'),
      client.request('heartbeat', { timestamp: 1 }),
    ])
    await client.received(slow, 2)
    const acks = client.arrivals
      .filter(({ name }) => name.startsWith('ack:'))
      .map(({ name, data }) => `${name} ${data['topic'] === slow ? 'slow' : 'other'}`)
    expect(acks.slice(1, 3).sort()).toEqual(['ack:heartbeat other', 'ack:publish other'])
    expect(acks.slice(3)).toEqual(['ack:publish slow', 'ack:publish slow', 'ack:history slow'])
    expect(client.messages(slow).map(({ payload }) => payload)).toEqual(['first', 'second'])
  })

  test('[W6][W10] a batch is carried out when each of its topics has come to it', async () => {
    const slow = freshTopic('slow')
    const quick = freshTopic()
    const client = await clients.connect(transport)
    const [published, batch, after] = await Promise.all([
      client.publish(slow, 'before the batch'),
      client.request('subscribe', { topics: [{ topic: slow, rewind: 5 }, { topic: quick }] }),
      client.publish(quick, 'after the batch'),
    ])
    expect(published).toMatchObject({ seq: 1, deliveredTo: 0 })
    expect(batch).toMatchObject({ results: [{ seq: 1, messages: [{ seq: 1 }] }, { seq: 0 }] })
    expect(after).toMatchObject({ seq: 1, deliveredTo: 1 })
  })

  test('[W12][P4] a resend by another connection waits for the first, whose result decides', async () => {
    const topic = freshTopic('slow')
    const userId = freshName('user')
    const first = await clients.connect(transport, { userId })
    const second = await clients.connect(transport, { userId })
    const third = await clients.connect(transport, { userId })
    await first.subscribe(topic)
    const once = { messageId: 'once' }
    const [accepted, resent, other] = await Promise.all([
      first.publish(topic, 'a', once),
      second.publish(topic, 'a', once),
      third.publish(topic, 'b', once),
    ])
    const acks = [accepted, resent, other]
    // Which of them came first is the network's business; that one of them won is not.
    const winner = acks.find(({ duplicate }) => duplicate === false)
    expect(winner).toMatchObject({ seq: 1 })
    const losers = acks.filter((ack) => ack !== winner)
    expect(losers.map(({ code, duplicate }) => code ?? duplicate)).toContain('id_conflict')
    await first.publish(topic, 'end')
    const [only] = await first.received(topic, 2)
    const conflicts = only?.['payload'] === 'a' ? [other] : [accepted, resent]
    expect(acks.filter(({ code }) => code === 'id_conflict')).toEqual(conflicts)
    expect(seqsOf(first.messages(topic))).toEqual([1, 2])
  })

  test('[W25] a server that stops says server_closing and closes the transport', async () => {
    const server = await another(target)
    const others = new Clients({ ...target, url: server.url })
    try {
      const all = [await others.connect(transport), await others.connect(transport)]
      const stopped = server.stop()
      for (const client of all) {
        const { retryAfterMs, ...closing } = await client.heard('closing')
        expect(closing).toStrictEqual({
          code: 'server_closing',
          message: expect.any(String) as unknown,
          retryable: true,
        })
        expect(['undefined', 'number']).toContain(typeof retryAfterMs)
        expect(await client.heard('disconnect')).toEqual({ reason: 'transport close' })
      }
      await stopped
    } finally {
      others.close()
      await server.stop()
    }
  })

  test('[W25][W12] what was acknowledged before the end has been delivered before it', async () => {
    const server = await another(target)
    const others = new Clients({ ...target, url: server.url })
    try {
      const topic = freshTopic()
      const reader = await others.connect(transport, { userId: freshName('reader') })
      const writer = await others.connect(transport)
      await reader.subscribe(topic)
      await writer.publish(topic, 'last words')
      await server.stop()
      await reader.heard('disconnect')
      expect(reader.messages(topic).map(({ payload }) => payload)).toEqual(['last words'])
    } finally {
      others.close()
      await server.stop()
    }
  })
}
