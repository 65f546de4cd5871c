import { z } from 'zod'
import { failureOf, refusalByWire } from '../failure.js'
import { OPEN_RULE, World } from '../harness.js'
import type { Producer } from './producer.js'

const FAULTY_RULE = {
  match: 'faulty:*',
  subscribe: () => {
    throw new Error('the database is down')
  },
} as const

const FAULTY_HOOK = {
  match: 'hooked:*',
  publish: 'authenticated',
  onPublish: () => {
    throw new Error('the database is down')
  },
} as const

/** As many levels as there may be, and one more. */
function nested(levels: number): unknown {
  let value: unknown = 1
  for (let level = 0; level < levels; level += 1) value = [value]
  return value
}

/** What the application's own functions threw is in the server's log: it is meant to be there. */
function expectFailure(world: World): void {
  const failures = world.takeFailures()
  const known = failures.length > 0 && failures.every((text) => text.includes('database is down'))
  if (!known) throw new Error(`another failure than the one that was made: ${failures.join()}`)
}

/** Codes that answer one request. */
export const OF_REQUESTS = {
  rate_limited: {
    title: '[L7] a request more than the rate allows',
    run: async () => {
      await using world = await World.start({ limits: { requestBurst: 2, requestsPerSecond: 0.1 } })
      const client = await world.join('ada')
      await client.history('open:news')
      await client.history('open:news')
      return await failureOf(client.history('open:news'))
    },
  },
  channel_full: {
    title: '[L1] a subscriber more than a channel may have',
    run: async () => {
      await using world = await World.start({ limits: { maxSubscribersPerChannel: 1 } })
      await (await world.join('ada')).subscribe('open:news', () => undefined).ready
      return await refusalByWire(world, [['subscribe', { topic: 'open:news' }]])
    },
  },
  out_of_order: {
    title: '[W12] a publish that follows one that was not accepted',
    run: async () => {
      await using world = await World.start()
      const publish = { topic: 'open:news', payload: 1, messageId: 'second', after: 'first' }
      return await refusalByWire(world, [['publish', publish]])
    },
  },
  publish_failed: {
    title: '[R9] a hook of the application that throws',
    run: async () => {
      await using world = await World.start({ channels: [FAULTY_HOOK] })
      const error = await refusalByWire(world, [['publish', { topic: 'hooked:x', payload: 1 }]])
      expectFailure(world)
      return error
    },
  },
  internal_error: {
    title: '[P7] a rule of the application that throws',
    run: async () => {
      await using world = await World.start({ channels: [FAULTY_RULE] })
      const error = await failureOf((await world.join('ada')).history('faulty:x'))
      expectFailure(world)
      return error
    },
  },
  invalid_message: {
    title: '[W8] a request that is none',
    run: async () => {
      await using world = await World.start()
      return await refusalByWire(world, [['publish', { topic: 'open:news' }]])
    },
  },
  invalid_topic: {
    title: '[T1] a topic with an empty segment',
    run: async () => {
      await using world = await World.start()
      return await failureOf((await world.join('ada')).publish('open::news', 1))
    },
  },
  payload_too_large: {
    title: '[L5] a payload above 64 KiB',
    run: async () => {
      await using world = await World.start()
      return await failureOf((await world.join('ada')).publish('open:news', 'x'.repeat(65_536)))
    },
  },
  permission_denied: {
    title: '[P8] a topic that no rule is for',
    run: async () => {
      await using world = await World.start()
      return await failureOf((await world.join('ada')).subscribe('closed:news').ready)
    },
  },
  validation_failed: {
    title: '[R9] a payload that the rule’s schema does not accept',
    run: async () => {
      const schema = z.object({ text: z.string() })
      await using world = await World.start({ channels: [{ ...OPEN_RULE, schema }] })
      return await failureOf((await world.join('ada')).publish('open:news', { text: 7 }))
    },
  },
  id_conflict: {
    title: '[P4] the same id with another payload',
    run: async () => {
      await using world = await World.start()
      const client = await world.join('ada')
      await client.publish('open:news', 'one', { id: 'same' })
      return await failureOf(client.publish('open:news', 'another', { id: 'same' }))
    },
  },
  too_many_subscriptions: {
    title: '[L4] a topic more than a connection may subscribe to',
    run: async () => {
      await using world = await World.start({ limits: { maxSubscriptionsPerConnection: 2 } })
      const client = await world.join('ada')
      await Promise.all(['a', 'b'].map((name) => client.subscribe(`open:${name}`).ready))
      return await failureOf(client.subscribe('open:c').ready)
    },
  },
} as const satisfies Record<string, Producer>

/** More ways to the same codes. */
export const MORE_OF_REQUESTS = {
  invalid_message: {
    title: '[L5] a payload that is nested too deeply, refused before it is sent',
    run: async () => {
      await using world = await World.start()
      const client = await world.join('ada')
      await client.publish('open:news', nested(64))
      return await failureOf(client.publish('open:news', nested(65)))
    },
  },
  rate_limited: {
    title: '[L6] a publish more than the rate allows',
    run: async () => {
      await using world = await World.start({
        limits: { publishBurst: 1, publishesPerSecond: 0.1 },
      })
      const publish = ['publish', { topic: 'open:news', payload: 1 }] as const
      return await refusalByWire(world, [publish, publish])
    },
  },
  channel_full: {
    title: '[L11] a topic more than a server may have',
    run: async () => {
      await using world = await World.start({ limits: { maxTopics: 1 } })
      await (await world.join('ada')).subscribe('open:news', () => undefined).ready
      return await refusalByWire(world, [['subscribe', { topic: 'open:other' }]])
    },
  },
  payload_too_large: {
    title: '[L5] a payload above 64 KiB, by a client that does not look',
    run: async () => {
      await using world = await World.start()
      const payload = 'x'.repeat(65_536)
      return await refusalByWire(world, [['publish', { topic: 'open:news', payload }]])
    },
  },
} as const satisfies Record<string, Producer>
