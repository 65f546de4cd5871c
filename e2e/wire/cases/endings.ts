import { expect, test } from 'vitest'
import { freshTopic, type Bench } from '../plain-client.js'

/** [W25] */
export function endingCases({ transport, clients }: Bench): void {
  test('[W25] a retryable end closes the transport: an ordinary client comes back by itself', async () => {
    const client = await clients.connect(
      transport,
      {},
      { reconnection: true, reconnectionDelay: 10, reconnectionDelayMax: 10 },
    )
    for (let count = 0; count < 100; count += 1) client.send('nonsense')
    expect(await client.heard('closing')).toMatchObject({ retryable: true, retryAfterMs: 10_000 })
    expect(await client.heard('disconnect')).toEqual({ reason: 'transport close' })
    await client.until(
      () => client.arrivals.filter(({ name }) => name === 'connected').length === 2,
      'the second `connected`',
    )
    expect(await client.subscribe(freshTopic())).toMatchObject({ status: 'success' })
  })

  test('[W25] `closing` is the last that a connection hears', async () => {
    const client = await clients.connect(transport)
    const topic = freshTopic()
    await client.subscribe(topic)
    for (let count = 0; count < 100; count += 1) client.send('nonsense')
    client.send('publish', { topic, payload: 'too late' })
    await client.heard('disconnect')
    expect(client.arrivals.slice(-2).map(({ name }) => name)).toEqual(['closing', 'disconnect'])
  })
}
