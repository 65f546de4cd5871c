import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { seededRandom } from '@bmt-central/realtime-protocol/testing'
import { expect, test } from 'vitest'
import { RemoteBroker } from './testing/rig/remote-broker.js'
import { RawSocket } from './testing/rig/raw-socket.js'
import { authenticateAnybody, TestServer, turns } from './testing/rig/test-server.js'

const ROUNDS = 40

/** Whatever a client may do, decided by chance; nobody waits for anything. */
function misbehave(server: TestServer, random: () => number): { close: () => void } {
  const pick = (count: number): number => Math.floor(random() * count)
  const client = server.dialAs(
    {
      userId: `u${pick(4)}`,
      ...(random() < 0.3 && { instance: `instance-of-client-${pick(3)}` }),
      ...(random() < 0.3 && { expiresAt: server.runtime.wallNow() + 1 + pick(5_000) }),
    },
    random() < 0.2 ? { transports: ['polling'] } : {},
  )
  client.socket.on('connect', () => {
    for (let count = pick(12); count > 0; count -= 1) {
      const topic = `t${pick(6)}`
      const requests: (() => void)[] = [
        () => client.send('subscribe', { topic, rewind: pick(5) }),
        () => client.send('subscribe', { topics: [{ topic }, { topic: `t${pick(6)}` }] }),
        () => client.send('unsubscribe', { topic }),
        () => client.send('publish', { topic, payload: count, messageId: `m${pick(3)}` }),
        () => client.send('publish', { topic: `live:${pick(2)}`, payload: count }),
        () => client.send('history', { topic }),
        () => client.send('heartbeat', { timestamp: 1 }),
        () => client.send('nonsense', count),
      ]
      requests[pick(requests.length)]?.()
    }
  })
  return client
}

test('[P7] after everybody has gone nothing is left but what is retained', async () => {
  const random = seededRandom(7)
  const gone: WeakRef<object>[] = []
  await using server = await TestServer.start({
    broker: new RemoteBroker(7),
    authenticate: async (handshake) => {
      if (random() < 0.3) await turns(1)
      if (random() < 0.1) throw new Error('not today')
      return authenticateAnybody(handshake)
    },
    channels: [
      { match: 'live:*', subscribe: 'anyone', publish: 'anyone', delivery: 'ephemeral' },
      {
        match: '*',
        subscribe: async () => (await turns(1), random() < 0.9),
        publish: 'anyone',
        onPublish: () => (random() < 0.3 ? turns(1) : undefined),
      },
    ],
    limits: { maxRequestsInProgress: 3, maxConnectionsPerUser: 6, handshakeTimeoutMs: 2_000 },
  })
  server.service.io.on('connection', (socket) => gone.push(new WeakRef(socket)))
  const timers = server.runtime.pendingTimers

  const clients: { close: () => void }[] = []
  // On a busy machine fewer of them get in within a round: then it takes more rounds.
  for (let round = 0; round < ROUNDS || gone.length <= ROUNDS; round += 1) {
    for (let count = 0; count < 3; count += 1) clients.push(misbehave(server, random))
    const raw = await RawSocket.open(server.url)
    if (random() < 0.5) raw.send('40{"token":"no json"}')
    clients.push({ close: () => raw.tcp.destroy() })
    await turns(1 + Math.floor(random() * 5))
    if (random() < 0.5) clients.splice(Math.floor(random() * clients.length), 1)[0]?.close()
    if (random() < 0.2) server.service.cleanupEmptyChannels()
    if (random() < 0.2) await server.runtime.advance(500)
  }
  const { connections, deliveredTotal } = server.service.getStats()
  expect([connections > 0, deliveredTotal > 0, gone.length > ROUNDS]).toEqual([true, true, true])

  for (const client of clients.splice(0)) client.close()
  const { engine } = server.service.io
  while (engine.clientsCount > 0 || server.service.getStats().connections > 0) await turns(1)
  await turns(50)
  // Time for what ends late: transports that were refused, rules and hooks that were asked.
  await server.runtime.advance(10_000)
  server.service.cleanupEmptyChannels()

  const { bounds, ...stats } = server.service.getStats()
  expect(stats).toMatchObject({ connections: 0, channels: 0, subscriptions: 0, users: 0 })
  const left = Object.entries(bounds).filter(([, { used }]) => used > 0)
  expect(left.map(([name]) => name).sort()).toEqual(['idempotencyIds', 'retainedBytes'])
  expect(server.service.io.sockets.sockets.size).toBe(0)
  expect(server.runtime.pendingTimers).toBe(timers)
  expect(await aliveOf(gone)).toBeLessThan(3)
})

/** How many of these objects something still holds on to. */
async function aliveOf(refs: readonly WeakRef<object>[]): Promise<number> {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  for (let round = 0; round < 5; round += 1) {
    await turns(2)
    collect()
  }
  return refs.filter((ref) => ref.deref() !== undefined).length
}
