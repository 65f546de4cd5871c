import { expect, test } from 'vitest'
import { freshName, freshTopic, type Bench } from '../plain-client.js'
import { expectPublished, expectRefusal } from '../shapes.js'

/** [W4] [W5] [W7] [W8] [W11] [W15] */
export function requestCases({ transport, clients }: Bench): void {
  test('[W4] a request without a callback is carried out all the same', async () => {
    const topic = freshTopic()
    const client = await clients.connect(transport)
    client.send('subscribe', { topic })
    client.send('publish', { topic, payload: 'unasked', messageId: 'm1' })
    const [message] = await client.received(topic, 1)
    expect(message).toMatchObject({ id: 'm1', payload: 'unasked', seq: 1 })
    client.send('unsubscribe', { topic })
    expect(await client.publish(topic, 'gone')).toMatchObject({ seq: 2, deliveredTo: 0 })
  })

  test('[W5] a refusal has exactly the fields of the contract', async () => {
    const client = await clients.connect(transport)
    const topic = freshTopic('read')
    expectRefusal(await client.publish(topic, 1), 'permission_denied')
    expectRefusal(await client.subscribe('wire:unknown:x'), 'permission_denied')
    expectRefusal(await client.request('history', { topic: 'private:x' }), 'permission_denied')
    expectRefusal(await client.subscribe('a::b'), 'invalid_topic')
    expectRefusal(await client.publish('a b', 1), 'invalid_topic')
    expectRefusal(await client.request('unsubscribe', { topic: ':' }), 'invalid_topic')
  })

  test('[T1][W5] answers and messages name the normalised topic', async () => {
    const client = await clients.connect(transport)
    const topic = freshTopic()
    const ack = await client.subscribe(`${topic}:cafe\u0301`)
    expect(ack).toMatchObject({ topic: `${topic}:caf\u00e9` })
    expect(await client.publish(`${topic}:caf\u00e9`, 1)).toMatchObject({ deliveredTo: 1 })
    await client.received(`${topic}:caf\u00e9`, 1)
    expect(await client.request('unsubscribe', { topic: `${topic}:cafe\u0301` })).toStrictEqual({
      status: 'success',
      topic: `${topic}:caf\u00e9`,
    })
  })

  test.each([
    ['an unknown event', 'nonsense', [{ topic: 'x' }]],
    ['an event of a later version', 'presence', [{ topic: 'wire:open:x' }]],
    ['an event of a later version', 'refresh', [{ token: 'x' }]],
    ['an event of the server', 'connected', [{}]],
    ['an event of the server', 'message', [{ topic: 'wire:open:x', payload: 1 }]],
    ['an event named like a method', 'toString', [{}]],
    ['no data', 'subscribe', []],
    ['a text for data', 'subscribe', ['wire:open:x']],
    ['a list for data', 'subscribe', [['wire:open:x']]],
    ['null for data', 'unsubscribe', [null]],
    ['two objects', 'subscribe', [{ topic: 'wire:open:x' }, {}]],
    ['no topic', 'publish', [{ payload: 1 }]],
    ['a topic that is no text', 'publish', [{ topic: 7, payload: 1 }]],
    ['no payload', 'publish', [{ topic: 'wire:open:x' }]],
    [
      'a messageId with a space',
      'publish',
      [{ topic: 'wire:open:x', payload: 1, messageId: 'a b' }],
    ],
    ['a since that is no position', 'subscribe', [{ topic: 'wire:open:x', since: 7 }]],
    ['a seq below 0', 'subscribe', [{ topic: 'wire:open:x', since: { epoch: 'e', seq: -1 } }]],
    [
      'a seq that is no whole number',
      'subscribe',
      [{ topic: 'wire:open:x', since: { epoch: 'e', seq: 0.5 } }],
    ],
    ['a rewind below 0', 'subscribe', [{ topic: 'wire:open:x', rewind: -1 }]],
    ['no topics', 'subscribe', [{ topics: [] }]],
    ['topics that are no list', 'subscribe', [{ topics: { topic: 'wire:open:x' } }]],
    ['a limit under 1', 'history', [{ topic: 'wire:open:x', limit: 0 }]],
    ['a before that is no position', 'history', [{ topic: 'wire:open:x', before: {} }]],
    ['no timestamp', 'heartbeat', [{}]],
    ['a timestamp that is no number', 'heartbeat', [{ timestamp: '1' }]],
  ])('[W7][W8] %s (%s) is invalid_message', async (_what, event, args) => {
    const client = await clients.connect(transport)
    expectRefusal(await client.request(event, ...args), 'invalid_message')
    // It changed nothing, and the connection goes on.
    expect(await client.request('heartbeat', { timestamp: 1 })).toMatchObject({ status: 'success' })
    expect(client.arrivals.map(({ name }) => name)).not.toContain('closing')
  })

  test('[W7] a malformed request changes nothing', async () => {
    const topic = freshTopic()
    const client = await clients.connect(transport)
    await client.subscribe(topic)
    expectRefusal(await client.publish(topic, 1, { messageId: 'bad id' }), 'invalid_message')
    expectRefusal(await client.request('unsubscribe', { topic }, 'more'), 'invalid_message')
    expectPublished(await client.publish(topic, 2), { topic, seq: 1, deliveredTo: 1 })
    const [message] = await client.received(topic, 1)
    expect(message).toMatchObject({ payload: 2, seq: 1 })
  })

  test('[W7] the 100th within a minute ends the connection, the 99th does not', async () => {
    const client = await clients.connect(transport)
    for (let count = 1; count <= 99; count += 1) {
      client.send(count % 2 === 0 ? 'nonsense' : 'subscribe', 'malformed')
    }
    expect(await client.request('heartbeat', { timestamp: 99 })).toMatchObject({ timestamp: 99 })
    client.send('nonsense')
    expect(await client.heard('closing')).toStrictEqual({
      code: 'invalid_message',
      message: expect.any(String) as unknown,
      retryable: true,
      retryAfterMs: 10_000,
    })
    expect(await client.heard('disconnect')).toEqual({ reason: 'transport close' })
  })

  test('[W7] what is well-formed does not count, also where it is refused', async () => {
    const client = await clients.connect(transport)
    const answers = await Promise.all(
      Array.from({ length: 120 }, () => client.publish('wire:unknown:x', 1)),
    )
    for (const answer of answers) expectRefusal(answer, 'permission_denied')
    expect(client.socket.connected).toBe(true)
  })

  test('[W7] what Socket.IO’s own parser refuses ends the connection at once', async () => {
    const client = await clients.connect(transport)
    // A Socket.IO EVENT packet whose JSON is broken.
    client.socket.io.engine.write('2["subscribe",{"topic":')
    const { reason } = await client.heard('disconnect')
    expect(['transport close', 'transport error']).toContain(reason)
  })

  test('[W8] messageId comes back with every answer', async () => {
    const topic = freshTopic()
    const client = await clients.connect(transport)
    const requests: [string, object][] = [
      ['subscribe', { topic }],
      ['publish', { topic, payload: 1 }],
      ['history', { topic }],
      ['unsubscribe', { topic }],
      ['heartbeat', { timestamp: 1 }],
    ]
    for (const [event, data] of requests) {
      const messageId = freshName(event)
      expect(await client.request(event, { ...data, messageId })).toMatchObject({
        status: 'success',
        messageId,
      })
    }
  })

  test('[W8] messageId comes back with every refusal, of malformed requests, too', async () => {
    const client = await clients.connect(transport)
    const messageId = 'A-z_09'
    const refusals: [string, object, string][] = [
      ['subscribe', { topic: 'a::b' }, 'invalid_topic'],
      ['subscribe', { topic: 'wire:unknown:x' }, 'permission_denied'],
      ['publish', { topic: 'wire:unknown:x', payload: 1 }, 'permission_denied'],
      ['publish', { topic: 7, payload: 1 }, 'invalid_message'],
      ['history', { topic: 'wire:open:x', limit: 0 }, 'invalid_message'],
      ['nonsense', {}, 'invalid_message'],
    ]
    for (const [event, data, code] of refusals) {
      expectRefusal(await client.request(event, { ...data, messageId }), code, { messageId })
    }
  })

  test('[W15] a heartbeat is acknowledged, and answered by an event', async () => {
    const client = await clients.connect(transport)
    const before = Date.now()
    const ack = await client.request('heartbeat', { timestamp: 12.5 })
    expect(ack).toStrictEqual({
      status: 'success',
      timestamp: 12.5,
      serverTime: expect.any(Number) as unknown,
    })
    expect(Math.abs(Number(ack['serverTime']) - before)).toBeLessThan(60_000)
    const event = await client.heard('heartbeat_ack')
    expect(event).toStrictEqual({ timestamp: 12.5, serverTime: expect.any(Number) as unknown })
    client.send('heartbeat', { timestamp: 13 })
    expect(await client.heard('heartbeat_ack', ({ timestamp }) => timestamp === 13)).toBeDefined()
  })
}
