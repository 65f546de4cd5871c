import { expect, test } from 'vitest'
import {
  freshName,
  freshTopic,
  type Fields,
  type PlainClient,
  type Bench,
} from '../plain-client.js'
import { expectRefusal, expectSubscribed, range, seqsOf } from '../shapes.js'

/** [W10] without pages, [W11] */
export function subscribeCases({ transport, clients }: Bench): void {
  async function publishAll(client: PlainClient, topic: string, count: number): Promise<string> {
    const acks = await Promise.all(range(1, count).map((n) => client.publish(topic, { n })))
    expect(acks.map(({ seq }) => seq)).toEqual(range(1, count))
    return String(acks[0]?.['epoch'])
  }

  test('[W10] a topic that nothing is known of: position 0, and live', async () => {
    const topic = freshTopic()
    const client = await clients.connect(transport)
    expectSubscribed(await client.subscribe(topic), { topic, seq: 0, seqs: [] })
    expect(await client.publish(topic, 1)).toMatchObject({ seq: 1, deliveredTo: 1 })
    expect((await client.received(topic, 1)).map(({ seq }) => seq)).toEqual([1])
  })

  test('[W10] without since or rewind: the head, no messages, nothing recovered', async () => {
    const topic = freshTopic()
    const client = await clients.connect(transport)
    const epoch = await publishAll(client, topic, 3)
    const ack = await client.subscribe(topic)
    expectSubscribed(ack, { topic, seq: 3, seqs: [] })
    expect(ack['epoch']).toBe(epoch)
  })

  test.each([
    [0, []],
    [2, [2, 3]],
    [3, [1, 2, 3]],
    [9, [1, 2, 3]],
  ])('[W10] rewind %i of 3 gives %j, no gap, nothing recovered', async (rewind, seqs) => {
    const topic = freshTopic()
    const client = await clients.connect(transport)
    await publishAll(client, topic, 3)
    expectSubscribed(await client.subscribe(topic, { rewind }), { topic, seq: 3, seqs })
  })

  test('[W10] rewind asks for what there is: what has gone is no gap', async () => {
    const topic = freshTopic('short')
    const client = await clients.connect(transport)
    await publishAll(client, topic, 9)
    const ack = await client.subscribe(topic, { rewind: 8 })
    expectSubscribed(ack, { topic, seq: 9, seqs: [5, 6, 7, 8, 9] })
  })

  test('[W10][P2] since gives exactly what was missed, in order, and recovered', async () => {
    const topic = freshTopic()
    const client = await clients.connect(transport)
    const epoch = await publishAll(client, topic, 5)
    const missed = await client.subscribe(topic, { since: { epoch, seq: 2 }, rewind: 1 })
    expectSubscribed(missed, { topic, seq: 5, seqs: [3, 4, 5], recovered: true })
    const nothing = await client.subscribe(topic, { since: { epoch, seq: 5 } })
    expectSubscribed(nothing, { topic, seq: 5, seqs: [], recovered: true })
  })

  test('[W10][P3] a since that is too old: an expired gap, then what is retained', async () => {
    const topic = freshTopic('short')
    const client = await clients.connect(transport)
    const epoch = await publishAll(client, topic, 9)
    expectSubscribed(await client.subscribe(topic, { since: { epoch, seq: 1 } }), {
      topic,
      seq: 9,
      seqs: [5, 6, 7, 8, 9],
      gap: { from: 2, to: 4, epoch, reason: 'expired' },
    })
    // The last that is whole: nothing between it and the oldest retained one is missing.
    expectSubscribed(await client.subscribe(topic, { since: { epoch, seq: 4 } }), {
      topic,
      seq: 9,
      seqs: [5, 6, 7, 8, 9],
      recovered: true,
    })
  })

  test('[W10][P3] a since of another epoch: the new epoch from its first on', async () => {
    const whole = freshTopic()
    const short = freshTopic('short')
    const client = await clients.connect(transport)
    const since = { epoch: 'another-epoch', seq: 2 }
    const reason = 'epoch_changed'
    const epoch = await publishAll(client, whole, 3)
    expectSubscribed(await client.subscribe(whole, { since }), {
      topic: whole,
      seq: 3,
      seqs: [1, 2, 3],
      gap: { from: null, to: null, epoch, reason },
    })
    const shortEpoch = await publishAll(client, short, 8)
    expectSubscribed(await client.subscribe(short, { since }), {
      topic: short,
      seq: 8,
      seqs: [4, 5, 6, 7, 8],
      gap: { from: null, to: 3, epoch: shortEpoch, reason },
    })
  })

  test('[W10][P3] a since ahead of the head: epoch_changed with the current epoch', async () => {
    const topic = freshTopic()
    const client = await clients.connect(transport)
    const epoch = await publishAll(client, topic, 3)
    expectSubscribed(await client.subscribe(topic, { since: { epoch, seq: 4 } }), {
      topic,
      seq: 3,
      seqs: [1, 2, 3],
      gap: { from: null, to: null, epoch, reason: 'epoch_changed' },
    })
  })

  test('[W10] a repeated subscribe is answered afresh, counts once, and doubles nothing', async () => {
    const topic = freshTopic()
    const client = await clients.connect(transport)
    const other = await clients.connect(transport)
    await client.subscribe(topic)
    const epoch = await publishAll(client, topic, 2)
    await client.received(topic, 2)
    const again = await client.subscribe(topic, { since: { epoch, seq: 0 } })
    expectSubscribed(again, { topic, seq: 2, seqs: [1, 2], recovered: true })
    expect(await other.subscribe(topic)).toMatchObject({ subscriberCount: 2 })
    expect(await other.publish(topic, 3)).toMatchObject({ seq: 3, deliveredTo: 2 })
    await other.request('unsubscribe', { topic })
    expect(await other.publish(topic, 4)).toMatchObject({ seq: 4, deliveredTo: 1 })
    expect(seqsOf(await client.received(topic, 4))).toEqual([1, 2, 3, 4])
  })

  test('[W10][P2] who joins a flow, and subscribes again in it, misses and doubles nothing', async () => {
    const topic = freshTopic()
    const publisher = await clients.connect(transport)
    const reader = await clients.connect(transport)
    let flowing = true
    const flow = (async () => {
      for (let n = 1; flowing; n += 1) await publisher.publish(topic, n)
      return Number((await publisher.publish(topic, 'last'))['seq'])
    })()
    const joined = await reader.subscribe(topic)
    for (let count = 1; count <= 5; count += 1) {
      await reader.received(topic, count * 3)
      expect(await reader.subscribe(topic)).toMatchObject({ status: 'success', messages: [] })
    }
    flowing = false
    const last = await flow
    await reader.heard('message', ({ seq }) => seq === last)
    expect(seqsOf(reader.messages(topic))).toEqual(range(Number(joined['seq']) + 1, last))
    const names = reader.arrivals.map(({ name }) => name)
    expect(names.indexOf('ack:subscribe')).toBeLessThan(names.indexOf('message'))
  })

  test('[W10] a batch: each topic its own answer, in order, refusals among them', async () => {
    const [first, second] = [freshTopic(), freshTopic('short')]
    const client = await clients.connect(transport)
    const epoch = await publishAll(client, second, 7)
    const batch = await client.request('subscribe', {
      messageId: 'all',
      topics: [
        { topic: first, messageId: 'm0' },
        { topic: 'wire:unknown:x', messageId: 'm1' },
        { topic: second, since: { epoch, seq: 1 } },
        { topic: 'a::b' },
        { topic: first, since: { epoch: 7 }, messageId: 'm4' },
        { topic: 'private:x' },
      ],
    })
    const { results, ...rest } = batch
    const answers = results as Fields[]
    expect(rest).toStrictEqual({ status: 'success', messageId: 'all' })
    expect(answers).toHaveLength(6)
    expectSubscribed(answers[0], { topic: first, seq: 0, seqs: [], messageId: 'm0' })
    expectRefusal(answers[1], 'permission_denied', { topic: 'wire:unknown:x', messageId: 'm1' })
    expectSubscribed(answers[2], {
      topic: second,
      seq: 7,
      seqs: [3, 4, 5, 6, 7],
      gap: { from: 2, to: 2, epoch, reason: 'expired' },
    })
    expectRefusal(answers[3], 'invalid_topic', { topic: 'a::b' })
    expectRefusal(answers[4], 'invalid_message', { topic: first, messageId: 'm4' })
    expectRefusal(answers[5], 'permission_denied', { topic: 'private:x' })
    expect(await client.publish(first, 1)).toMatchObject({ deliveredTo: 1 })
  })

  test('[W10] a batch has at most 100 topics', async () => {
    const topics = range(1, 101).map((n) => ({ topic: `${freshTopic()}:${n}` }))
    const client = await clients.connect(transport)
    expectRefusal(await client.request('subscribe', { topics }), 'invalid_message')
    const { results } = await client.request('subscribe', { topics: topics.slice(0, 100) })
    expect((results as Fields[]).map(({ topic }) => topic)).toEqual(
      topics.slice(0, 100).map(({ topic }) => topic),
    )
  })

  test('[W11] unsubscribe is acknowledged, also where there was nothing to end', async () => {
    const topic = freshTopic()
    const client = await clients.connect(transport)
    expect(await client.request('unsubscribe', { topic })).toStrictEqual({
      status: 'success',
      topic,
    })
    await client.subscribe(topic)
    for (let times = 0; times < 2; times += 1) {
      expect(await client.request('unsubscribe', { topic, messageId: 'u' })).toStrictEqual({
        status: 'success',
        topic,
        messageId: 'u',
      })
    }
    // One may leave what one has no right to, too.
    expect(await client.request('unsubscribe', { topic: 'private:x' })).toMatchObject({
      status: 'success',
    })
  })

  test('[W11] after the acknowledgement of an unsubscribe nothing of the topic arrives', async () => {
    const topic = freshTopic()
    const sentinel = freshTopic()
    const client = await clients.connect(transport)
    const publisher = await clients.connect(transport)
    await client.request('subscribe', { topics: [{ topic }, { topic: sentinel }] })
    const flood = range(1, 100).map((n) => publisher.publish(topic, n))
    await flood[20]
    await client.request('unsubscribe', { topic })
    const heardBefore = client.messages(topic).length
    await Promise.all(flood)
    // Both come the same way: when this one is here, nothing before it is still on its way.
    await publisher.publish(sentinel, 'end')
    await client.received(sentinel, 1)
    expect(client.messages(topic)).toHaveLength(heardBefore)
    const names = client.arrivals.map(({ name, data }) => `${name} ${String(data['topic'])}`)
    const ack = names.indexOf(`ack:unsubscribe ${topic}`)
    expect(names.slice(ack)).not.toContain(`message ${topic}`)
  })

  test('[W10][P11] an ephemeral topic: live only, no position, nothing recovered', async () => {
    const topic = freshTopic('live')
    const client = await clients.connect(transport)
    await client.publish(topic, 'unheard')
    const ack = await client.subscribe(topic, { since: { epoch: 'e', seq: 3 }, rewind: 5 })
    expectSubscribed(ack, { topic, seq: 0, seqs: [] })
    expect(ack['epoch']).toBe('')
    const id = freshName('m')
    expect(await client.publish(topic, 'heard', { messageId: id, after: 'nobody' })).toMatchObject({
      epoch: '',
      seq: 0,
      deliveredTo: 1,
      messageId: id,
    })
    const [message] = await client.received(topic, 1)
    expect(message).toMatchObject({ epoch: '', seq: 0, payload: 'heard', id })
    expect(await client.request('history', { topic })).toMatchObject({
      status: 'success',
      messages: [],
      more: false,
      epoch: '',
      seq: 0,
    })
  })
}
