import { expect, test } from 'vitest'
import { freshName, freshTopic, type Bench } from '../plain-client.js'
import { expectMessage, expectPublished, expectRefusal, seqsOf } from '../shapes.js'

const nested = (levels: number): unknown =>
  Array.from({ length: levels }).reduce<unknown>((inner) => [inner], 1)

/** [W12] [W21] */
export function publishCases({ transport, clients }: Bench): void {
  test('[W12][W21] a publish is acknowledged, and reaches all subscribers, its sender too', async () => {
    const topic = freshTopic()
    const userId = freshName('user')
    const sender = await clients.connect(transport, { userId })
    const reader = await clients.connect(transport)
    await sender.subscribe(topic)
    await reader.subscribe(topic)
    const before = Date.now()
    const ack = await sender.publish(
      topic,
      { text: 'h\u00e9llo \u4e16\u754c' },
      { messageId: 'm-1' },
    )
    expectPublished(ack, { topic, messageId: 'm-1', seq: 1, deliveredTo: 2 })
    for (const client of [sender, reader]) {
      const [message] = await client.received(topic, 1)
      expectMessage(message, {
        topic,
        id: 'm-1',
        seq: 1,
        epoch: String(ack['epoch']),
        payload: { text: 'h\u00e9llo \u4e16\u754c' },
        from: userId,
      })
      expect(Math.abs(Number(message?.['timestamp']) - before)).toBeLessThan(60_000)
    }
  })

  test('[W12] the server makes an id where none is given', async () => {
    const topic = freshTopic()
    const client = await clients.connect(transport)
    await client.subscribe(topic)
    const acks = [await client.publish(topic, 1), await client.publish(topic, 1)]
    expectPublished(acks[0], { topic, seq: 1, deliveredTo: 1 })
    expectPublished(acks[1], { topic, seq: 2, deliveredTo: 1 })
    expect(acks[0]?.['messageId']).not.toBe(acks[1]?.['messageId'])
    const messages = await client.received(topic, 2)
    expect(messages.map(({ id }) => id)).toEqual(acks.map(({ messageId }) => messageId))
  })

  test.each([
    ['null', null],
    ['false', false],
    ['0', 0],
    ['an empty text', ''],
    ['an empty list', []],
    ['an empty object', {}],
    ['a large number', 1e300],
    ['text of many kinds', '\u0000\u2028\ud83d\ude00"\\</script>'],
    ['a key __proto__', JSON.parse('{"__proto__":{"admin":true},"constructor":1}') as unknown],
    ['keys like ours', { type: 'event', seq: 99, topic: 'x', status: 'error' }],
    ['64 levels', nested(64)],
  ])('[W12][W21] any JSON value is a payload: %s', async (_what, payload) => {
    const topic = freshTopic()
    const client = await clients.connect(transport)
    await client.subscribe(topic)
    expectPublished(await client.publish(topic, payload), { topic, seq: 1, deliveredTo: 1 })
    const [message] = await client.received(topic, 1)
    expect(JSON.stringify(message?.['payload'])).toBe(JSON.stringify(payload))
  })

  test.each([
    ['payload_too_large', 'more than 64 KiB', 'x'.repeat(65_535)],
    ['payload_too_large', 'more than 64 KiB in UTF-8', '\u4e2d'.repeat(21_845)],
    ['invalid_message', '65 levels', nested(65)],
    ['validation_failed', 'a placeholder', { a: { _placeholder: true, num: 0 } }],
    ['validation_failed', 'bytes', { a: new Uint8Array([1, 2, 3]) }],
  ])('[W12][L5] %s: %s', async (code, _what, payload) => {
    const topic = freshTopic()
    const client = await clients.connect(transport)
    expectRefusal(await client.publish(topic, payload, { messageId: 'big' }), code, {
      messageId: 'big',
    })
    expectPublished(await client.publish(topic, 'fits', { messageId: 'big' }), {
      topic,
      messageId: 'big',
      seq: 1,
    })
  })

  test('[L5] a payload of exactly 64 KiB passes', async () => {
    const topic = freshTopic()
    const client = await clients.connect(transport)
    expectPublished(await client.publish(topic, 'x'.repeat(65_534)), { topic, seq: 1 })
  })

  test('[W12][P4] a resend gets the first result, and is delivered to nobody again', async () => {
    const topic = freshTopic()
    const userId = freshName('user')
    const client = await clients.connect(transport, { userId })
    await client.subscribe(topic)
    const first = await client.publish(topic, { n: 1 }, { messageId: 'once' })
    expectPublished(first, { topic, messageId: 'once', seq: 1, deliveredTo: 1 })
    const resend = await client.publish(topic, { n: 1 }, { messageId: 'once' })
    expect(resend).toEqual({ ...first, duplicate: true })
    // Also over another connection of the same user, also after the first has gone.
    client.socket.disconnect()
    const later = await clients.connect(transport, { userId })
    await later.subscribe(topic, { rewind: 5 })
    expect(await later.publish(topic, { n: 1 }, { messageId: 'once' })).toEqual(resend)
    expect(await later.publish(topic, 'next')).toMatchObject({ seq: 2 })
    expect(seqsOf(await later.received(topic, 1))).toEqual([2])
  })

  test('[W12][P4] a resend while the first is in progress gets the same result', async () => {
    const topic = freshTopic()
    const client = await clients.connect(transport)
    await client.subscribe(topic)
    const same = () => client.publish(topic, 'same', { messageId: 'once' })
    const acks = await Promise.all([same(), same(), same()])
    expect(acks.map(({ seq }) => seq)).toEqual([1, 1, 1])
    expect(acks.map(({ duplicate }) => duplicate)).toEqual([false, true, true])
    expect(await client.publish(topic, 'next')).toMatchObject({ seq: 2 })
    expect(seqsOf(await client.received(topic, 2))).toEqual([1, 2])
  })

  test('[W12][P4] the same id with another payload is id_conflict, never a duplicate', async () => {
    const topic = freshTopic()
    const client = await clients.connect(transport)
    await client.publish(topic, { n: 1 }, { messageId: 'once' })
    expectRefusal(await client.publish(topic, { n: 2 }, { messageId: 'once' }), 'id_conflict', {
      messageId: 'once',
    })
    expect(await client.publish(topic, { n: 1 }, { messageId: 'once' })).toMatchObject({
      duplicate: true,
      seq: 1,
    })
  })

  test('[W12][P4] the key is user, topic and id: each other one is another message', async () => {
    const [topic, elsewhere] = [freshTopic(), freshTopic()]
    const client = await clients.connect(transport)
    const other = await clients.connect(transport)
    const twin = { messageId: 'same' }
    expectPublished(await client.publish(topic, 'a', twin), { topic, seq: 1, ...twin })
    expectPublished(await other.publish(topic, 'b', twin), { topic, seq: 2, ...twin })
    expectPublished(await client.publish(elsewhere, 'c', twin), {
      topic: elsewhere,
      seq: 1,
      ...twin,
    })
  })

  test('[W12][P4] a refused publish leaves no trace: its id may be used again', async () => {
    const topic = freshTopic('read')
    const userId = freshName('user')
    const reader = await clients.connect(transport, { userId })
    expectRefusal(await reader.publish(topic, 'x', { messageId: 'm' }), 'permission_denied', {
      messageId: 'm',
    })
    const writer = await clients.connect(transport, { userId, role: 'writer' })
    expectPublished(await writer.publish(topic, 'y', { messageId: 'm' }), {
      topic,
      seq: 1,
      messageId: 'm',
    })
  })

  test('[W12][P1] `after` must be accepted: otherwise out_of_order, which is retryable', async () => {
    const topic = freshTopic()
    const client = await clients.connect(transport)
    const refusal = { retryable: true }
    expectRefusal(await client.publish(topic, 2, { messageId: 'b', after: 'a' }), 'out_of_order', {
      ...refusal,
      messageId: 'b',
    })
    await client.publish(topic, 1, { messageId: 'a' })
    expectPublished(await client.publish(topic, 2, { messageId: 'b', after: 'a' }), {
      topic,
      messageId: 'b',
      seq: 2,
    })
    // The `after` of another user or topic is not mine.
    const other = await clients.connect(transport)
    expectRefusal(await other.publish(topic, 3, { after: 'a' }), 'out_of_order', refusal)
    const elsewhere = freshTopic()
    expectRefusal(await client.publish(elsewhere, 3, { after: 'a' }), 'out_of_order', refusal)
  })

  test('[W12][P1] of a chain sent at once, a refused link is overtaken by none', async () => {
    const topic = freshTopic()
    const client = await clients.connect(transport)
    const acks = await Promise.all([
      client.publish(topic, 1, { messageId: 'm1' }),
      client.publish(topic, nested(65), { messageId: 'm2', after: 'm1' }),
      client.publish(topic, 3, { messageId: 'm3', after: 'm2' }),
      client.publish(topic, 4, { messageId: 'm4', after: 'm3' }),
      client.publish(topic, 5, { messageId: 'm5', after: 'm1' }),
    ])
    expect(acks.map(({ code, seq }) => code ?? seq)).toEqual([
      1,
      'invalid_message',
      'out_of_order',
      'out_of_order',
      2,
    ])
  })

  test('[W12] deliveredTo counts connections, not users, and not those that left', async () => {
    const topic = freshTopic()
    const userId = freshName('user')
    const tabs = [
      await clients.connect(transport, { userId }),
      await clients.connect(transport, { userId }),
    ]
    for (const tab of tabs) await tab.subscribe(topic)
    const publisher = await clients.connect(transport)
    expect(await publisher.publish(topic, 1)).toMatchObject({ deliveredTo: 2 })
    tabs[0]?.socket.disconnect()
    await expect
      .poll(async () => (await publisher.publish(topic, 'again'))['deliveredTo'], {
        timeout: 10_000,
      })
      .toBe(1)
  })
}
