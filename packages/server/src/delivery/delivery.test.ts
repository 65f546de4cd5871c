import type { IncomingMessage } from 'node:http'
import { seededRandom } from '@bmt-central/realtime-protocol/testing'
import { describe, expect, test } from 'vitest'
import { GatedBroker } from '../testing/rig/gated-broker.js'
import { payloadsOf } from '../testing/rig/plain-client.js'
import { RawSocket } from '../testing/rig/raw-socket.js'
import { TestServer, turns } from '../testing/rig/test-server.js'

const KIB = 1_024
const TOKEN = { token: JSON.stringify({ userId: 'slow', role: 'user' }) }
const LARGE = 'x'.repeat(60 * KIB)

/** A client that has subscribed to topics and then stops reading. */
async function stuckReader(server: TestServer, ...topics: string[]): Promise<RawSocket> {
  const raw = await RawSocket.join(server.url, TOKEN)
  raw.send(`420["subscribe",${JSON.stringify({ topics: topics.map((topic) => ({ topic })) })}]`)
  await raw.until(() => raw.text.includes('430['))
  raw.tcp.pause()
  return raw
}

/** Publishes until the buffers of both kernels are full and so many bytes wait for the reader. */
async function fill(server: TestServer, topic: string, bytes: number): Promise<number> {
  let published = 0
  while (waitingOf(server) < bytes) {
    await server.service.publish(topic, LARGE)
    published += 1
    await turns(1)
  }
  return published
}

function waitingOf(server: TestServer): number {
  return server.service.connections({ userId: 'slow' })[0]?.waitingBytes ?? Infinity
}

describe('fan-out', () => {
  test('[P1][W21] everybody gets every publication, with the fields of an event', async () => {
    await using server = await TestServer.start()
    const clients = await Promise.all(['ann', 'bob'].map((userId) => server.connect({ userId })))
    for (const client of clients) await client.subscribe('a')
    const ack = await clients[0]?.publish('a', { n: 1 }, { messageId: 'm1' })
    expect(ack).toMatchObject({ seq: 1, deliveredTo: 2 })
    for (const client of clients) {
      expect(await client.received('a', 1)).toEqual([
        {
          type: 'event',
          topic: 'a',
          id: 'm1',
          seq: 1,
          epoch: ack?.['epoch'],
          payload: { n: 1 },
          timestamp: server.runtime.wallNow(),
          from: 'ann',
        },
      ])
    }
    expect(server.events('publish')).toMatchObject([{ id: 'm1', deliveredTo: 2, from: 'ann' }])
    expect(server.service.getStats()).toMatchObject({ publishedTotal: 1, deliveredTotal: 2 })
  })

  test('[P7] a reader that is ended in the middle of it costs the others nothing', async () => {
    await using server = await TestServer.start({
      limits: { maxBufferedBytes: 100 * KIB, hardMaxBufferedBytes: 200 * KIB },
    })
    // Between others in the channel, so that it goes while they are being served.
    const ann = await server.connect()
    await ann.subscribe('a')
    const slow = await stuckReader(server, 'a')
    const bob = await server.connect({ userId: 'bob' })
    await bob.subscribe('a')
    let ended = false
    server.service.on('disconnect', () => {
      ended = true
      void server.service.publish('a', 'from within')
    })
    let published = 0
    while (!ended) {
      await server.service.publish('a', LARGE)
      published += 1
      await turns(1)
    }
    for (const client of [ann, bob]) {
      const messages = await client.received('a', published + 1)
      expect(messages.map(({ seq }) => seq)).toEqual(
        Array.from({ length: published + 1 }, (_, index) => index + 1),
      )
      expect(messages.at(-1)?.['payload']).toBe('from within')
    }
    expect(server.events('disconnect')).toMatchObject([{ code: 'slow_consumer' }])
    expect(server.service.channels()).toMatchObject([{ name: 'a', subscribers: 2 }])
    await server.runtime.advance(1_000)
    slow.tcp.resume()
    await slow.end()
  })
})

describe('a reader that does not keep up', () => {
  test('[L8] and is ended while it subscribes again leaves nothing behind', async () => {
    await using server = await TestServer.start({
      limits: { maxBufferedBytes: 200 * KIB, hardMaxBufferedBytes: 200 * KIB },
    })
    const slow = await stuckReader(server, 'a', 'b')
    await fill(server, 'b', 100 * KIB)
    // Less than may wait, then one chunk: what is published in it has not left when it subscribes.
    slow.tcp.cork()
    for (let n = 1; n <= 3; n += 1) {
      slow.send(`42["publish",{"topic":"a","payload":"${LARGE.slice(0, 40 * KIB)}"}]`)
    }
    slow.send('421["subscribe",{"topic":"a"}]')
    slow.tcp.uncork()
    expect(await server.told('disconnect')).toMatchObject([{ code: 'slow_consumer' }])
    expect(await server.service.publish('a', 'later')).toMatchObject({ deliveredTo: 0 })
    await server.runtime.advance(1_000)
    slow.tcp.resume()
    await slow.end()
  })

  test('[L8] is ended after 5 s in which it took nothing to speak of', async () => {
    await using server = await TestServer.start()
    const slow = await stuckReader(server, 'a')
    await fill(server, 'a', 1_025 * KIB)
    await server.runtime.advance(5_000)
    expect(server.service.getStats().bounds['slowReaders']?.used).toBe(1)
    expect(server.service.connections()).toHaveLength(1)
    await server.runtime.advance(1_000)
    expect(server.events('disconnect')).toMatchObject([{ code: 'slow_consumer' }])
    expect(server.service.getStats().bounds['slowReaders']?.used).toBe(0)
    slow.tcp.resume()
    await slow.until(() => slow.closed || slow.text.includes('"slow_consumer"'))
    await server.runtime.advance(1_000)
    await slow.end()
  })

  test('[L8] is not ended while it takes 64 KiB in 5 s', async () => {
    await using server = await TestServer.start()
    const slow = await stuckReader(server, 'a')
    await fill(server, 'a', 1_025 * KIB)
    for (let second = 0; second < 12; second += 1) {
      await server.runtime.advance(1_000)
      slow.tcp.resume()
      // Until it shows at the server, whatever the kernels hold in between.
      while (waitingOf(server) > 900 * KIB) await turns(1)
      slow.tcp.pause()
      await fill(server, 'a', 1_025 * KIB)
    }
    expect(server.service.connections()).toHaveLength(1)
    slow.tcp.destroy()
  })

  test('[L8] of a channel with `overflow: latest` only loses what is not the newest, and is told', async () => {
    await using server = await TestServer.start({
      channels: [
        { match: 'metrics', subscribe: 'anyone', overflow: 'latest', history: { size: 2_000 } },
        { match: '*', subscribe: 'anyone' },
      ],
    })
    const slow = await stuckReader(server, 'metrics')
    const filling = await fill(server, 'metrics', 65 * KIB)
    for (let n = 0; n < 100; n += 1) await server.service.publish('metrics', LARGE)
    await server.service.publish('metrics', 'newest')
    // One waits, whatever is ahead of it in the socket.
    expect(server.service.connections()[0]?.waitingBytes).toBeLessThan(200 * KIB)
    for (let second = 0; second < 20; second += 1) await server.runtime.advance(1_000)
    expect(server.service.connections()).toHaveLength(1)
    slow.tcp.resume()
    await slow.until(() => slow.text.includes('newest'))
    const total = filling + 101
    const events = slow.text.split('42["message",').slice(1)
    const skipped = events.map((text) => Number(/"skipped":(\d+)/u.exec(text)?.[1] ?? 0))
    expect(skipped.reduce((sum, count) => sum + count, events.length)).toBe(total)
    expect(Math.max(...skipped)).toBeGreaterThan(90)
    slow.tcp.destroy()
  })
})

describe('after announcements were lost', () => {
  async function startGated() {
    const broker = new GatedBroker()
    const server = await TestServer.start({ broker })
    const ann = await server.connect()
    await ann.subscribe('a')
    const lose = async (payload: number): Promise<void> => {
      broker.hold('announcement')
      await server.service.publish('a', payload)
      broker.next('announcement', new Error('lost'))
      broker.release('announcement')
    }
    const lost = (): void => broker.sink?.lost('a' as Parameters<typeof broker.sink.lost>[0])
    return { broker, server, ann, lose, lost }
  }

  test('[P2][P9] subscribers get what they miss, in order, each once', async () => {
    const { server, ann, lose, lost } = await startGated()
    await using _ = server
    await server.service.publish('a', 1)
    await lose(2)
    await lose(3)
    lost()
    await server.service.publish('a', 4)
    expect(payloadsOf(await ann.received('a', 4))).toEqual([1, 2, 3, 4])
    await ann.caughtUp()
    expect(ann.messages('a')).toHaveLength(4)
  })

  test('[P2] also where others are announced while it is read', async () => {
    const { broker, server, ann, lose, lost } = await startGated()
    await using _ = server
    await lose(1)
    broker.hold('read-answer')
    lost()
    await broker.reached('read-answer')
    await server.service.publish('a', 2)
    lost()
    await server.service.publish('a', 3)
    broker.next('read-answer')
    await broker.reached('read-answer')
    broker.release('read-answer')
    expect(payloadsOf(await ann.received('a', 3))).toEqual([1, 2, 3])
    await ann.caughtUp()
    expect(ann.messages('a')).toHaveLength(3)
  })

  test('[P2] also more of them than fit a page, or may wait', async () => {
    const { broker, server, ann, lose, lost } = await startGated()
    await using _ = server
    for (let n = 1; n <= 600; n += 1) await lose(n)
    broker.hold('read-answer')
    lost()
    await broker.reached('read-answer')
    for (let n = 601; n <= 1_000; n += 1) await server.service.publish('a', n)
    broker.release('read-answer')
    const payloads = payloadsOf(await ann.received('a', 1_000))
    expect(payloads).toEqual(Array.from({ length: 1_000 }, (_one, index) => index + 1))
  })

  test('[P2][W10] one that joins meanwhile pages on', async () => {
    const { broker, server, lose, lost } = await startGated()
    await using _ = server
    const bob = await server.connect({ userId: 'bob' })
    broker.hold('subscribers-answer')
    const subscribed = bob.subscribe('a')
    await broker.reached('subscribers-answer')
    await lose(1)
    await server.service.publish('a', 2)
    lost()
    broker.release('subscribers-answer')
    const first = await subscribed
    expect(first).toMatchObject({ seq: 0, messages: [], more: true })
    const { epoch, seq } = first
    const next = await bob.subscribe('a', { since: { epoch, seq } })
    expect(payloadsOf(next['messages'])).toEqual([1, 2])
  })

  test.each(['leaves', 'subscribes anew', 'disconnects'])(
    '[P7] one that %s meanwhile gets nothing twice',
    async (what) => {
      const { broker, server, ann, lose, lost } = await startGated()
      await using _ = server
      await lose(1)
      broker.hold('read-answer')
      lost()
      await broker.reached('read-answer')
      if (what === 'leaves') await ann.request('unsubscribe', { topic: 'a' })
      if (what === 'subscribes anew') await ann.subscribe('a')
      if (what === 'disconnects') {
        ann.close()
        await server.told('disconnect')
      }
      broker.release('read-answer')
      await server.service.publish('a', 2)
      await turns()
      if (what !== 'disconnects') await ann.caughtUp()
      expect(payloadsOf(ann.messages('a'))).toEqual(what === 'subscribes anew' ? [2] : [])
      expect(server.events('error')).toEqual([])
    },
  )

  test('[P3] where they cannot be read the jump in `seq` tells the client', async () => {
    const { broker, server, ann, lose, lost } = await startGated()
    await using _ = server
    await lose(1)
    broker.hold('read')
    lost()
    await broker.reached('read')
    await server.service.publish('a', 2)
    broker.next('read', new Error('away'))
    expect(await ann.received('a', 1)).toMatchObject([{ seq: 2 }])
    expect(server.events('error')).toMatchObject([{ where: 'catching up on a' }])
  })
})

test.each([1, 2, 3])(
  '[W1][P1] publishes go on through an upgrade from polling to WebSocket (seed %i)',
  async (seed) => {
    const random = seededRandom(seed)
    await using server = await TestServer.start()
    let upgrade: () => void = () => undefined
    server.service.io.engine.use((request: IncomingMessage, _: unknown, next: () => void) => {
      if (request.headers.upgrade === undefined) next()
      else upgrade = next
    })
    const ann = await server.connect({}, { transports: ['polling', 'websocket'] })
    await ann.subscribe('a')
    const transport = (): string | undefined => server.service.connections()[0]?.transport
    expect(transport()).toBe('polling')
    let published = 0
    for (let after = 0; after < 50; after += transport() === 'websocket' ? 1 : 0) {
      if (published === 20) upgrade()
      await server.service.publish('a', random() < 0.2 ? LARGE : published)
      published += 1
      await turns(1 + Math.floor(random() * 3))
    }
    const messages = await ann.received('a', published)
    expect(messages.map(({ seq }) => seq)).toEqual(
      Array.from({ length: published }, (_, index) => index + 1),
    )
    await ann.caughtUp()
    await turns()
    // Nothing is left on the old transport's account.
    expect(server.service.connections()).toMatchObject([{ waitingBytes: 0 }])
  },
)
