import { expect, test } from 'vitest'
import { freshTopic, type Fields, type PlainClient, type Bench } from '../plain-client.js'
import { WIRE_LIMITS } from '../server-rules.js'
import { expectMessage, expectRefusal, range, seqsOf } from '../shapes.js'

const PAGE = WIRE_LIMITS.maxPageMessages

/** [W13] */
export function historyCases({ transport, clients }: Bench): void {
  async function fill(client: PlainClient, topic: string, count: number): Promise<string> {
    const acks = await Promise.all(range(1, count).map((n) => client.publish(topic, n)))
    return String(acks[0]?.['epoch'])
  }

  function expectPage(
    page: Fields,
    expected: {
      topic: string
      epoch: string
      seq: number
      seqs: number[]
      more: boolean
      gap?: object
    },
  ): void {
    const { seqs, ...rest } = expected
    const { messages, ...fields } = page
    expect(fields).toStrictEqual({ status: 'success', ...rest })
    expect(seqsOf(messages)).toEqual(seqs)
  }

  test('[W13] without since and before: the newest, ascending; more says that older ones exist', async () => {
    const topic = freshTopic()
    const client = await clients.connect(transport)
    const epoch = await fill(client, topic, 5)
    const ask = (limit: number) => client.request('history', { topic, limit })
    expectPage(await ask(2), { topic, epoch, seq: 5, seqs: [4, 5], more: true })
    expectPage(await ask(5), { topic, epoch, seq: 5, seqs: range(1, 5), more: false })
    expectPage(await client.request('history', { topic }), {
      topic,
      epoch,
      seq: 5,
      seqs: range(1, 5),
      more: false,
    })
  })

  test('[W13][W21] it holds messages as they were delivered', async () => {
    const topic = freshTopic()
    const client = await clients.connect(transport)
    await client.subscribe(topic)
    const ack = await client.publish(topic, { a: [1] }, { messageId: 'm1' })
    const [live] = await client.received(topic, 1)
    const { messages } = await client.request('history', { topic })
    const [kept] = messages as Fields[]
    expect(kept).toEqual(live)
    expectMessage(kept, {
      topic,
      id: 'm1',
      seq: 1,
      epoch: String(ack['epoch']),
      payload: { a: [1] },
      from: String(live?.['from']),
    })
  })

  test('[W13][L16] a limit above a page is cut to it', async () => {
    const topic = freshTopic()
    const client = await clients.connect(transport)
    const epoch = await fill(client, topic, PAGE + 2)
    for (const limit of [PAGE + 1, 1_000_000, undefined]) {
      expectPage(await client.request('history', { topic, ...(limit && { limit }) }), {
        topic,
        epoch,
        seq: PAGE + 2,
        seqs: range(3, PAGE + 2),
        more: true,
      })
    }
  })

  test('[W13] before: the newest before it, by seq or by position', async () => {
    const topic = freshTopic()
    const client = await clients.connect(transport)
    const epoch = await fill(client, topic, 6)
    const ask = (before: unknown, limit?: number) =>
      client.request('history', { topic, before, ...(limit !== undefined && { limit }) })
    const page = { topic, epoch, seq: 6 }
    expectPage(await ask(4, 2), { ...page, seqs: [2, 3], more: true })
    expectPage(await ask({ epoch, seq: 4 }, 2), { ...page, seqs: [2, 3], more: true })
    expectPage(await ask(4), { ...page, seqs: [1, 2, 3], more: false })
    expectPage(await ask(1), { ...page, seqs: [], more: false })
    expectPage(await ask(0), { ...page, seqs: [], more: false })
    expectPage(await ask(99, 2), { ...page, seqs: [5, 6], more: true })
  })

  test('[W13] a before of another epoch is answered like none, with epoch_changed', async () => {
    const topic = freshTopic()
    const client = await clients.connect(transport)
    const epoch = await fill(client, topic, 4)
    const page = await client.request('history', {
      topic,
      before: { epoch: 'another', seq: 2 },
      limit: 3,
    })
    expectPage(page, {
      topic,
      epoch,
      seq: 4,
      seqs: [2, 3, 4],
      more: true,
      gap: { from: null, to: null, epoch, reason: 'epoch_changed' },
    })
  })

  test('[W13] since: the oldest after it; more says that later ones exist', async () => {
    const topic = freshTopic()
    const client = await clients.connect(transport)
    const epoch = await fill(client, topic, 6)
    const ask = (seq: number, limit?: number) =>
      client.request('history', {
        topic,
        since: { epoch, seq },
        ...(limit !== undefined && { limit }),
      })
    const page = { topic, epoch, seq: 6 }
    expectPage(await ask(2, 2), { ...page, seqs: [3, 4], more: true })
    expectPage(await ask(4, 2), { ...page, seqs: [5, 6], more: false })
    expectPage(await ask(0), { ...page, seqs: range(1, 6), more: false })
    expectPage(await ask(6), { ...page, seqs: [], more: false })
  })

  test('[W13][P3] with since a gap is said as in a subscribe', async () => {
    const topic = freshTopic('short')
    const client = await clients.connect(transport)
    const epoch = await fill(client, topic, 8)
    const ask = (since: object) => client.request('history', { topic, since })
    const rest = { topic, epoch, seq: 8, seqs: [4, 5, 6, 7, 8], more: false }
    expectPage(await ask({ epoch, seq: 1 }), {
      ...rest,
      gap: { from: 2, to: 3, epoch, reason: 'expired' },
    })
    const gap = { from: null, to: 3, epoch, reason: 'epoch_changed' }
    expectPage(await ask({ epoch: 'another', seq: 1 }), { ...rest, gap })
    expectPage(await ask({ epoch, seq: 9 }), { ...rest, gap })
    expectPage(await ask({ epoch, seq: 3 }), rest)
  })

  test('[W13] both: the oldest after since that are before before', async () => {
    const topic = freshTopic()
    const client = await clients.connect(transport)
    const epoch = await fill(client, topic, 8)
    const ask = (limit: number) =>
      client.request('history', { topic, since: { epoch, seq: 2 }, before: 6, limit })
    const page = { topic, epoch, seq: 8 }
    expectPage(await ask(2), { ...page, seqs: [3, 4], more: true })
    expectPage(await ask(5), { ...page, seqs: [3, 4, 5], more: false })
  })

  test('[W13] a topic that nothing is known of, and one that has been forgotten in part', async () => {
    const topic = freshTopic()
    const client = await clients.connect(transport)
    const page = await client.request('history', { topic, messageId: 'h' })
    expect(page).toStrictEqual({
      status: 'success',
      messageId: 'h',
      topic,
      epoch: expect.stringMatching(/^.+$/) as unknown,
      seq: 0,
      messages: [],
      more: false,
    })
    const short = freshTopic('short')
    const epoch = await fill(client, short, 7)
    // Without since nothing is owed, so that nothing is missing.
    expectPage(await client.request('history', { topic: short }), {
      topic: short,
      epoch,
      seq: 7,
      seqs: [3, 4, 5, 6, 7],
      more: false,
    })
  })

  test('[W13] needs the right to subscribe, not the right to publish', async () => {
    const topic = freshTopic('read')
    const client = await clients.connect(transport)
    expect(await client.request('history', { topic })).toMatchObject({ status: 'success' })
    expectRefusal(await client.request('history', { topic: 'user:somebody' }), 'permission_denied')
    expectRefusal(await client.request('history', { topic: 'a::b' }), 'invalid_topic')
  })

  test('[W13] is asked without a subscription, and makes none', async () => {
    const topic = freshTopic()
    const client = await clients.connect(transport)
    await client.request('history', { topic })
    expect(await client.publish(topic, 1)).toMatchObject({ deliveredTo: 0 })
    expect(client.messages(topic)).toEqual([])
  })
}
