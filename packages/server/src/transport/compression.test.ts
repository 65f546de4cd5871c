import { describe, expect, test } from 'vitest'
import { payloadsOf, type ClientOptions, type PlainClient } from '../testing/rig/plain-client.js'
import { TestServer, turns } from '../testing/rig/test-server.js'

/** Text that deflate makes small, and that is not the same twice. */
function text(n: number, length: number): string {
  return `${n} ${'so many words, ä and all of them alike; '.repeat(length / 40)}`
}

/** Every second one is below the threshold. */
const PAYLOADS = Array.from({ length: 60 }, (_, n) => text(n, n % 2 === 0 ? 40 : 2_000 + n * 40))

const OFFERS: readonly (readonly [string, ClientOptions])[] = [
  ['offers compression', { perMessageDeflate: { threshold: 1_024 } }],
  ['offers none', { perMessageDeflate: false as never }],
  ['has a smaller window', { perMessageDeflate: { serverMaxWindowBits: 10 } as never }],
  ['polls', { transports: ['polling'] }],
]

/** Bytes that a client's TCP socket has read. */
function bytesRead({ socket }: PlainClient): number {
  const { transport } = socket.io.engine as unknown as {
    transport: { ws?: { _socket?: { bytesRead: number } } }
  }
  return transport.ws?._socket?.bytesRead ?? 0
}

async function readers(server: TestServer): Promise<PlainClient[]> {
  const clients = await Promise.all(
    OFFERS.map(([, options], index) => server.connect({ userId: `u${index}` }, options)),
  )
  for (const client of clients) await client.subscribe('a')
  return clients
}

describe('compression', () => {
  test('[P1] whatever a client offers, it gets the same messages in the same order', async () => {
    await using server = await TestServer.start({ compression: {} })
    const clients = await readers(server)
    for (const [n, payload] of PAYLOADS.entries()) {
      await server.service.publish('a', payload)
      // One turn with many, some with one.
      if (n > 30) await turns(1)
    }
    for (const client of clients) {
      expect(payloadsOf(await client.received('a', PAYLOADS.length))).toEqual(PAYLOADS)
    }
  })

  test('those who agreed read a fraction of the bytes', async () => {
    await using server = await TestServer.start({ compression: {} })
    const [packed, plain, small] = await readers(server)
    const before = [packed, plain, small].map((client) => (client ? bytesRead(client) : 0))
    for (let n = 0; n < 20; n += 1) await server.service.publish('a', text(n, 4_000))
    for (const client of [packed, plain, small]) await client?.received('a', 20)
    const [short = 0, long = 0, alsoLong = 0] = [packed, plain, small].map(
      (client, index) => (client ? bytesRead(client) : 0) - (before[index] ?? 0),
    )
    expect(long).toBeGreaterThan(80_000)
    expect(alsoLong).toBe(long)
    expect(short).toBeLessThan(long / 8)
  })

  test('[W6] a page that ws compresses by itself and the messages after it keep their order', async () => {
    await using server = await TestServer.start({ compression: { thresholdBytes: 100 } })
    const [client] = await readers(server)
    if (client === undefined) throw new Error('no reader')
    for (let n = 0; n < 50; n += 1) await server.service.publish('a', text(n, 2_000))
    await client?.received('a', 50)
    const asked = Array.from({ length: 20 }, (_, n) => [
      client.request('history', { topic: 'a', limit: 50 }),
      client.publish('a', text(50 + n, n % 3 === 0 ? 40 : 1_000)),
    ])
    await Promise.all(asked.flat())
    const messages = await client?.received('a', 70)
    expect(messages?.map(({ seq }) => seq)).toEqual(Array.from({ length: 70 }, (_, n) => n + 1))
    const answers = client?.arrivals.filter(({ name }) => name.startsWith('ack:'))
    const names = answers?.slice(-40).map(({ name }) => name)
    expect(names).toEqual(Array.from({ length: 20 }, () => ['ack:history', 'ack:publish']).flat())
  })

  test('without the option nobody is offered any', async () => {
    await using server = await TestServer.start()
    const [client, plain] = await readers(server)
    await server.service.publish('a', text(1, 8_000))
    for (const one of [client, plain]) await one?.received('a', 1)
    expect(client && bytesRead(client)).toBeGreaterThan(8_000)
  })
})
