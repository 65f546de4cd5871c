import { socketIoLink, type CreateLink, type Handshake } from '@bmt-central/realtime'
import { connectionErrorOf, failureOf } from '../failure.js'
import { World } from '../harness.js'
import { Reader } from '../reader.js'
import { until } from '../until.js'
import type { Producer } from './producer.js'

/** The real link, with another handshake. */
function saying(url: string, changed: (handshake: Handshake) => Handshake): CreateLink {
  const open = socketIoLink({ url, path: '/socket.io', transports: ['websocket'] })
  return (handshake, listener) => open(changed(handshake), listener)
}

/** Codes that end a connection, or keep it from coming about. */
export const OF_THE_CONNECTION = {
  token_expired: {
    title: '[P10][C6] a token that expired, and no other one',
    run: async () => {
      await using world = await World.start({
        authenticate: () => ({ userId: 'ada', role: 'user', expiresAt: 1 }),
      })
      return await failureOf(world.client('ada').connect())
    },
  },
  too_many_connections: {
    title: '[L3] one connection more than a user may have',
    run: async () => {
      await using world = await World.start({ limits: { maxConnectionsPerUser: 1 } })
      await world.join('ada')
      const second = world.client('ada')
      const error = connectionErrorOf(second)
      second.connect().catch(() => undefined)
      return await error
    },
  },
  slow_consumer: {
    title: '[C9] a loop that takes nothing while 1,001 messages come',
    run: async () => {
      await using world = await World.start()
      const client = await world.join('ada')
      const messages = client.subscribe('open:news')
      await messages.ready
      for (let count = 0; count <= 1_000; count += 1) await world.service.publish('open:news', 1)
      await until(() => client.getStats().received === 1_001, 'all messages')
      return await failureOf(messages[Symbol.asyncIterator]().next())
    },
  },
  stale: {
    title: '[L10] a connection from which nothing was heard for longer than it may be silent',
    run: async () => {
      await using world = await World.start()
      const client = await world.join('ada')
      const error = connectionErrorOf(client)
      world.service.cleanupStaleConnections(0)
      return await error
    },
  },
  server_closing: {
    title: '[W25] a server that is stopped',
    run: async () => {
      await using world = await World.start()
      const client = await world.join('ada')
      const error = connectionErrorOf(client)
      await world.stop()
      return await error
    },
  },
  unauthenticated: {
    title: '[W2][C6] a token that is none',
    run: async () => {
      await using world = await World.start()
      return await failureOf(world.client('ada', { auth: 'no token' }).connect())
    },
  },
  protocol_unsupported: {
    title: '[W2] a client of another protocol',
    run: async () => {
      await using world = await World.start()
      const createLink = saying(world.url, (handshake) => ({ ...handshake, protocol: 2 }))
      return await failureOf(world.client('ada', { parts: { createLink } }).connect())
    },
  },
  kicked: {
    title: '[W2][C1] a second connection of the same client object',
    run: async () => {
      await using world = await World.start()
      const createLink = saying(world.url, (handshake) => ({
        ...handshake,
        client: { ...handshake.client, instance: 'one-and-the-same-object' },
      }))
      const first = await world.join('ada', { parts: { createLink } })
      const heard = await Reader.live(first, 'open:news')
      const error = connectionErrorOf(first)
      const second = await world.join('ada', { parts: { createLink } })
      await until(() => first.status === 'disconnected', 'the first to be ended')
      await second.publish('open:news', 1)
      if (heard.messages.length > 0) throw new Error('the replaced connection heard a message')
      return await error
    },
  },
} as const satisfies Record<string, Producer>
