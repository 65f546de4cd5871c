import { expect, test } from 'vitest'
import { freshTopic, type Bench } from '../plain-client.js'
import { range } from '../shapes.js'

/** [W6], and what is seen of [P1] on the wire. */
export function orderCases({ transport, clients }: Bench): void {
  test('[W6][P1] publishes to one topic are sequenced as they were sent', async () => {
    const topic = freshTopic()
    const client = await clients.connect(transport)
    await client.subscribe(topic)
    const acks = await Promise.all(range(1, 100).map((n) => client.publish(topic, n)))
    expect(acks.map(({ seq }) => seq)).toEqual(range(1, 100))
    const messages = await client.received(topic, 100)
    expect(messages.map(({ seq, payload }) => [seq, payload])).toEqual(
      range(1, 100).map((n) => [n, n]),
    )
  })

  test('[W6] what is asked of one topic at once is carried out one after the other', async () => {
    const topic = freshTopic()
    const client = await clients.connect(transport)
    const answers = await Promise.all([
      client.publish(topic, 'before'),
      client.subscribe(topic),
      client.publish(topic, 'heard'),
      client.request('unsubscribe', { topic }),
      client.publish(topic, 'unheard'),
      client.subscribe(topic, { rewind: 1 }),
      client.request('history', { topic }),
    ])
    expect(answers.map(({ seq }) => seq)).toEqual([1, 1, 2, undefined, 3, 3, 3])
    expect(answers.map(({ deliveredTo }) => deliveredTo)).toEqual([
      0,
      undefined,
      1,
      undefined,
      0,
      undefined,
      undefined,
    ])
    const names = client.arrivals.map(({ name }) => name).filter((name) => name.startsWith('ack:'))
    expect(names).toEqual([
      'ack:publish',
      'ack:subscribe',
      'ack:publish',
      'ack:unsubscribe',
      'ack:publish',
      'ack:subscribe',
      'ack:history',
    ])
    expect(client.messages(topic).map(({ payload }) => payload)).toEqual(['heard'])
  })
}
