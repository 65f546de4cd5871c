import { RealtimeClient, RealtimeError } from '@bmt-central/realtime'
import { failureOf } from '../failure.js'
import { World } from '../harness.js'
import { until } from '../until.js'
import type { Producer } from './producer.js'

/** Codes that the client alone has. */
export const OF_THE_CLIENT = {
  not_connected: {
    title: '[P5] a publish that may not wait, while there is no connection',
    run: async () => {
      await using world = await World.start()
      return await failureOf(world.client('ada').publish('open:news', 1, { queue: false }))
    },
  },
  queue_overflow: {
    title: '[L13] a publish more than may wait: the oldest goes',
    run: async () => {
      await using world = await World.start()
      const client = world.client('ada', { maxQueueSize: 1 })
      const oldest = failureOf(client.publish('open:news', 'oldest'))
      const newest = client.publish('open:news', 'newest')
      await client.connect()
      await newest
      return await oldest
    },
  },
  expired: {
    title: '[L14] a publish that waited longer than its `ttlMs`',
    run: async () => {
      await using world = await World.start()
      return await failureOf(world.client('ada').publish('open:news', 1, { ttlMs: 5 }))
    },
  },
  timeout: {
    title: '[L14][P5] a publish that was not acknowledged before its deadline',
    run: async () => {
      await using world = await World.start()
      const line = await world.line()
      const client = await world.join('ada', { url: line.url, publishDeadlineMs: 50 })
      line.stall()
      const error = await failureOf(client.publish('open:news', 1))
      if (error.details?.['outcome'] !== 'unknown') throw new Error('its outcome is not known')
      return error
    },
  },
  closed: {
    title: '[P5][C8] a client that is closed while a publish waits',
    run: async () => {
      await using world = await World.start()
      const client = world.client('ada')
      const waiting = failureOf(client.publish('open:news', 1))
      await client.close()
      return await waiting
    },
  },
  aborted: {
    title: '[P5] a publish that its caller gives up',
    run: async () => {
      await using world = await World.start()
      const controller = new AbortController()
      const { signal } = controller
      const waiting = failureOf(world.client('ada').publish('open:news', 1, { signal }))
      controller.abort()
      return await waiting
    },
  },
  position_lost: {
    title: '[P3] a loop that asked to stop at a gap',
    run: async () => {
      await using world = await World.start()
      const client = await world.join('ada')
      const since = { epoch: 'an-epoch-of-long-ago', seq: 3 }
      const messages = client.subscribe('open:news', undefined, { since, onGap: 'throw' })
      await until(() => messages.state === 'subscribed', 'the topic to be live')
      return await failureOf(messages[Symbol.asyncIterator]().next())
    },
  },
  invalid_options: {
    title: '[C3] an option out of its range',
    run: () => {
      try {
        const client = new RealtimeClient({ url: 'ws://localhost', reconnect: { baseMs: 0 } })
        return Promise.reject(new Error(`it was accepted: ${client.status}`))
      } catch (error) {
        if (error instanceof RealtimeError) return Promise.resolve(error)
        throw error
      }
    },
  },
} as const satisfies Record<string, Producer>
