import { expect, test } from 'vitest'
import { freshTopic, type Fields, type PlainClient, type Bench } from '../plain-client.js'
import { WIRE_LIMITS } from '../server-rules.js'
import { expectSubscribed, range, seqsOf } from '../shapes.js'

const PAGE = WIRE_LIMITS.maxPageMessages

/** [W10] page by page, [L16] */
export function pagingCases({ transport, clients }: Bench): void {
  async function fill(client: PlainClient, topic: string, count: number): Promise<string> {
    const acks = await Promise.all(range(1, count).map((n) => client.publish(topic, n)))
    return String(acks[0]?.['epoch'])
  }

  test('[W20] the server tells the pages that the suite needs', async () => {
    const client = await clients.connect(transport)
    expect(client.arrivals[0]?.data['limits']).toMatchObject({ maxPageMessages: PAGE })
  })

  test('[W10][L16] what was missed comes in pages; live only with the last of them', async () => {
    const topic = freshTopic()
    const client = await clients.connect(transport)
    const epoch = await fill(client, topic, 2 * PAGE + 3)
    const first = await client.subscribe(topic, { since: { epoch, seq: 0 } })
    expectSubscribed(first, {
      topic,
      seq: PAGE,
      seqs: range(1, PAGE),
      recovered: true,
      more: true,
    })
    // Not live yet: it counts as a subscriber, but nothing is delivered to it.
    const publisher = await clients.connect(transport)
    expect(await publisher.publish(topic, 'meanwhile')).toMatchObject({ deliveredTo: 0 })
    const second = await client.subscribe(topic, { since: { epoch, seq: PAGE } })
    expectSubscribed(second, {
      topic,
      seq: 2 * PAGE,
      seqs: range(PAGE + 1, 2 * PAGE),
      recovered: true,
      more: true,
    })
    const last = await client.subscribe(topic, { since: { epoch, seq: 2 * PAGE } })
    expectSubscribed(last, {
      topic,
      seq: 2 * PAGE + 4,
      seqs: range(2 * PAGE + 1, 2 * PAGE + 4),
      recovered: true,
    })
    expect(client.messages(topic)).toEqual([])
    expect(await publisher.publish(topic, 'live')).toMatchObject({ deliveredTo: 1 })
    expect(seqsOf(await client.received(topic, 1))).toEqual([2 * PAGE + 5])
  })

  test('[W10] exactly one page of them is the last page', async () => {
    const topic = freshTopic()
    const client = await clients.connect(transport)
    const epoch = await fill(client, topic, PAGE)
    expectSubscribed(await client.subscribe(topic, { since: { epoch, seq: 0 } }), {
      topic,
      seq: PAGE,
      seqs: range(1, PAGE),
      recovered: true,
    })
  })

  test('[W10] a rewind longer than a page begins at its oldest and goes on by since', async () => {
    const topic = freshTopic()
    const client = await clients.connect(transport)
    const epoch = await fill(client, topic, 3 * PAGE)
    const first = await client.subscribe(topic, { rewind: PAGE + 2 })
    const start = 2 * PAGE - 1
    expectSubscribed(first, {
      topic,
      seq: start + PAGE - 1,
      seqs: range(start, start + PAGE - 1),
      more: true,
    })
    expectSubscribed(
      await client.subscribe(topic, { since: { epoch, seq: Number(first['seq']) } }),
      {
        topic,
        seq: 3 * PAGE,
        seqs: range(start + PAGE, 3 * PAGE),
        recovered: true,
      },
    )
  })

  test('[W10][P3] a gap is said once, with the first page after it', async () => {
    const topic = freshTopic()
    const client = await clients.connect(transport)
    const epoch = await fill(client, topic, PAGE + 2)
    const ahead = await client.subscribe(topic, { since: { epoch, seq: 10 * PAGE } })
    expectSubscribed(ahead, {
      topic,
      seq: PAGE,
      seqs: range(1, PAGE),
      gap: { from: null, to: null, epoch, reason: 'epoch_changed' },
      more: true,
    })
    expectSubscribed(await client.subscribe(topic, { since: { epoch, seq: PAGE } }), {
      topic,
      seq: PAGE + 2,
      seqs: [PAGE + 1, PAGE + 2],
      recovered: true,
    })
  })

  test('[W10][L16] the topics of a batch share a page: some get none, with the right position', async () => {
    const topics = [freshTopic(), freshTopic(), freshTopic('short'), freshTopic()]
    const client = await clients.connect(transport)
    const epochs: string[] = []
    for (const topic of topics) epochs.push(await fill(client, topic, PAGE + 2))
    const at = (index: number, seq: number) => ({ epoch: epochs[index], seq })
    const batch = await client.request('subscribe', {
      topics: [
        { topic: topics[0], since: at(0, 0) },
        { topic: topics[1], since: at(1, 3) },
        { topic: topics[2], since: at(2, 1) },
        { topic: topics[3], rewind: 4 },
      ],
    })
    const results = batch['results'] as Fields[]
    const count = results.flatMap((result) => seqsOf(result['messages'])).length
    expect(count).toBeGreaterThanOrEqual(1)
    expect(count).toBeLessThanOrEqual(PAGE)
    const firstMissing = [1, 4, PAGE - 2, PAGE - 1]
    results.forEach((result, index) => {
      const seqs = seqsOf(result['messages'])
      const start = firstMissing[index] ?? 0
      expect(seqs).toEqual(range(start, start + seqs.length - 1))
      // With none and more to come: just before the next one; otherwise the last of them.
      expect(result['seq']).toBe(start + seqs.length - 1)
      expect(result['more']).toBe(start + seqs.length - 1 < PAGE + 2)
      expect(result['recovered']).toBe(index < 2)
    })
    const gap = { from: 2, to: PAGE - 3, epoch: epochs[2], reason: 'expired' }
    expect(results.map((result) => result['gap'])).toEqual([undefined, undefined, gap, undefined])
    // From there each goes on by itself, and all of it comes.
    for (const [index, result] of results.entries()) {
      const seqs = seqsOf(result['messages'])
      let { seq, more } = result
      while (more === true) {
        const next = await client.subscribe(String(topics[index]), {
          since: at(index, Number(seq)),
        })
        expect(next).toMatchObject({ status: 'success', recovered: true })
        seqs.push(...seqsOf(next['messages']))
        seq = next['seq']
        more = next['more']
      }
      expect(seqs).toEqual(range(firstMissing[index] ?? 0, PAGE + 2))
    }
    expect(client.messages(String(topics[0]))).toEqual([])
  })

  test('[W10][L16] with more topics than a page has places, some come with none at first', async () => {
    const topics = range(1, PAGE + 3).map(() => freshTopic())
    const client = await clients.connect(transport)
    const epochs = await Promise.all(topics.map((topic) => fill(client, topic, 2)))
    const batch = await client.request('subscribe', {
      topics: topics.map((topic, index) => ({ topic, since: { epoch: epochs[index], seq: 0 } })),
    })
    const results = batch['results'] as Fields[]
    const empty = results.filter((result) => seqsOf(result['messages']).length === 0)
    expect(empty.length).toBeGreaterThanOrEqual(3)
    for (const result of empty) {
      expect(result).toMatchObject({ seq: 0, more: true, recovered: true })
      const topic = String(result['topic'])
      expectSubscribed(
        await client.subscribe(topic, { since: { epoch: result['epoch'], seq: 0 } }),
        { topic, seq: 2, seqs: [1, 2], recovered: true },
      )
    }
  })

  test('[W10][P2] pages and live flow join without a hole or a double, while others publish', async () => {
    const topic = freshTopic()
    const publisher = await clients.connect(transport)
    const reader = await clients.connect(transport)
    const epoch = await fill(publisher, topic, 3 * PAGE)
    let publishing = true
    const flow = (async () => {
      for (let n = 0; publishing || n < 30; n += 1) await publisher.publish(topic, n)
    })()
    const seqs: unknown[] = []
    let position = 0
    for (let more = true; more;) {
      const page = await reader.subscribe(topic, { since: { epoch, seq: position } })
      expect(page).toMatchObject({ status: 'success', recovered: true })
      seqs.push(...seqsOf(page['messages']))
      position = Number(page['seq'])
      more = page['more'] === true
    }
    publishing = false
    await flow
    const last = Number((await publisher.publish(topic, 'last'))['seq'])
    await reader.heard('message', ({ seq }) => seq === last)
    expect([...seqs, ...seqsOf(reader.messages(topic))]).toEqual(range(1, last))
  })

  test('[W10] to subscribe again with pages to come stops live delivery until the last', async () => {
    const topic = freshTopic()
    const client = await clients.connect(transport)
    const publisher = await clients.connect(transport)
    const epoch = await fill(publisher, topic, PAGE + 1)
    await client.subscribe(topic)
    expect(await client.subscribe(topic, { since: { epoch, seq: 0 } })).toMatchObject({
      more: true,
    })
    expect(await publisher.publish(topic, 'x')).toMatchObject({ deliveredTo: 0 })
    const last = await client.subscribe(topic, { since: { epoch, seq: PAGE } })
    expectSubscribed(last, {
      topic,
      seq: PAGE + 2,
      seqs: [PAGE + 1, PAGE + 2],
      recovered: true,
    })
    expect(await publisher.publish(topic, 'y')).toMatchObject({ deliveredTo: 1 })
    expect(seqsOf(await client.received(topic, 1))).toEqual([PAGE + 3])
  })
}
