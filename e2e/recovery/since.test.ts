import type { Position, RealtimeClient } from '@bmt-central/realtime'
import { describe, expect, test } from 'vitest'
import { World } from '../harness.js'
import { range, Reader } from '../reader.js'
import { PlainClient } from '../wire/plain-client.js'

const TOPIC = 'short:news'

/** A stream of 20 of which the last 10 are kept: 11 to 20. */
async function startStream(): Promise<{ world: World; epoch: string }> {
  const world = await World.start({
    channels: [
      {
        match: 'short:*',
        subscribe: 'authenticated',
        publish: 'authenticated',
        history: { size: 10 },
      },
    ],
  })
  for (let number = 1; number < 20; number += 1) await world.service.publish(TOPIC, { number })
  const { epoch } = await world.service.publish(TOPIC, { number: 20 })
  return { world, epoch }
}

/** Publishes one more, so that it shows whether the reader is in the live flow. */
async function heardThenLive(
  client: RealtimeClient,
  world: World,
  options: { since?: Position; rewind?: number },
): Promise<Reader> {
  const heard = await Reader.live(client, TOPIC, options)
  await world.service.publish(TOPIC, { number: 21 })
  await heard.reached(21)
  return heard
}

describe('a first subscription with `since`', () => {
  test('[W10][P2] that is retained: all after it, and nothing is missing', async () => {
    const { world, epoch } = await startStream()
    await using _ = world
    const heard = await heardThenLive(await world.join('ada'), world, { since: { epoch, seq: 14 } })
    expect(heard.log).toEqual([15, 16, 17, 18, 19, 20, 'subscribed', 21])
    expect(heard.subscribed).toEqual([
      { recovered: true, position: { epoch, seq: 20 }, replayed: 6 },
    ])
  })

  test('[W10][P2] at the oldest edge of what is retained: still nothing is missing', async () => {
    const { world, epoch } = await startStream()
    await using _ = world
    const heard = await heardThenLive(await world.join('ada'), world, { since: { epoch, seq: 10 } })
    expect(heard.gaps).toEqual([])
    expect(heard.seqs).toEqual(range(11, 21))
    expect(heard.subscribed[0]?.recovered).toBe(true)
  })

  test('[W10][P2] at the head: nothing to replay, and nothing is missing', async () => {
    const { world, epoch } = await startStream()
    await using _ = world
    const heard = await heardThenLive(await world.join('ada'), world, { since: { epoch, seq: 20 } })
    expect(heard.log).toEqual(['subscribed', 21])
    expect(heard.subscribed[0]).toMatchObject({ recovered: true, replayed: 0 })
  })

  test('[P3][W10] that is too old: one `expired` gap first, then what is retained', async () => {
    const { world, epoch } = await startStream()
    await using _ = world
    const heard = await heardThenLive(await world.join('ada'), world, { since: { epoch, seq: 3 } })
    expect(heard.gaps).toEqual([{ from: 4, to: 10, epoch, reason: 'expired' }])
    expect(heard.log).toEqual(['gap', 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 'subscribed', 21])
    expect(heard.subscribed[0]).toMatchObject({ recovered: false, replayed: 10 })
  })

  test('[P3] that is ahead of the head: `epoch_changed` with the current epoch, and its position is the answer’s', async () => {
    const { world, epoch } = await startStream()
    await using _ = world
    const heard = await heardThenLive(await world.join('ada'), world, { since: { epoch, seq: 99 } })
    expect(heard.gaps).toEqual([{ from: null, to: 10, epoch, reason: 'epoch_changed' }])
    expect(heard.log).toEqual(['gap', 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 'subscribed', 21])
    expect(heard.subscribed[0]?.recovered).toBe(false)
    expect(heard.subscription.position).toEqual({ epoch, seq: 21 })
  })

  test('[P3] of another epoch: `epoch_changed`, then the present epoch from its first retained one on', async () => {
    const { world, epoch } = await startStream()
    await using _ = world
    const since = { epoch: 'an-epoch-of-long-ago', seq: 15 }
    const heard = await heardThenLive(await world.join('ada'), world, { since })
    expect(heard.gaps).toEqual([{ from: null, to: 10, epoch, reason: 'epoch_changed' }])
    expect(heard.seqs).toEqual(range(11, 21))
    expect(heard.subscribed[0]).toMatchObject({ recovered: false, replayed: 10 })
  })

  test('[P3] of another epoch, where all of the present one is retained: nothing of it is missing', async () => {
    await using world = await World.start()
    for (const number of [1, 2, 3]) await world.service.publish('open:news', { number })
    const since = { epoch: 'an-epoch-of-long-ago', seq: 2 }
    const heard = await Reader.live(await world.join('ada'), 'open:news', { since })
    const epoch = heard.messages[0]?.epoch
    expect(heard.gaps).toEqual([{ from: null, to: null, epoch, reason: 'epoch_changed' }])
    expect(heard.seqs).toEqual(range(1, 3))
  })

  test('[P3][L2] of a topic that nothing is known of: `epoch_changed`, and the first publication follows', async () => {
    await using world = await World.start()
    const since = { epoch: 'an-epoch-of-long-ago', seq: 2 }
    const heard = await Reader.live(await world.join('ada'), 'open:empty', { since })
    expect(heard.gaps).toMatchObject([{ from: null, to: null, reason: 'epoch_changed' }])
    const { epoch } = await world.service.publish('open:empty', { number: 1 })
    await heard.received(1)
    expect(heard.log).toEqual(['gap', 'subscribed', 1])
    expect(heard.gaps[0]?.epoch).toBe(epoch)
  })

  test.each([
    ['no position', 7],
    ['a seq below 0', { epoch: 'e', seq: -1 }],
    ['a seq that is no whole number', { epoch: 'e', seq: 1.5 }],
    ['no epoch', { seq: 3 }],
  ])(
    '[W10] malformed (%s): refused before anything is sent, and by the server',
    async (_, since) => {
      await using world = await World.start()
      const client = await world.join('ada')
      const subscribe = (): unknown =>
        client.subscribe('open:news', () => undefined, { since: since as Position })
      expect(subscribe).toThrow(expect.objectContaining({ code: 'invalid_options' }))
      expect(client.getStats()).toMatchObject({ subscriptions: 0, topics: 0 })

      const plain = new PlainClient(world.url, { auth: { token: 'dev:bob' } })
      await plain.heard('connected')
      const answer = await plain.subscribe('open:news', { since, messageId: 'mine' })
      expect(answer).toMatchObject({ status: 'error', code: 'invalid_message', messageId: 'mine' })
      plain.socket.disconnect()
      expect(world.service.channels()).toEqual([])
    },
  )
})

describe('a first subscription with `rewind`', () => {
  test.each([
    [3, [18, 19, 20]],
    [10, [11, 12, 13, 14, 15, 16, 17, 18, 19, 20]],
    [15, [11, 12, 13, 14, 15, 16, 17, 18, 19, 20]],
    [0, []],
  ])('[W10] %i: so many of the retained ones, and no gap is meant', async (rewind, replayed) => {
    const { world } = await startStream()
    await using _ = world
    const heard = await heardThenLive(await world.join('ada'), world, { rewind })
    expect(heard.log).toEqual([...replayed, 'subscribed', 21])
    expect(heard.subscribed[0]).toMatchObject({ recovered: false, replayed: replayed.length })
  })
})
