import type { TransportName } from '@bmt-central/realtime'
import { describe, expect, test } from 'vitest'
import { World } from '../harness.js'
import type { TcpProxy } from '../proxy.js'
import { range, Reader } from '../reader.js'
import { until } from '../until.js'

const TOPIC = 'open:news'

/** A reader of a live topic whose line has gone; 300 messages are missed, 10 fit on a page. */
async function behind(
  world: World,
  transport: TransportName,
): Promise<{ line: TcpProxy; heard: Reader }> {
  const line = await world.line()
  const reader = await world.join('ada', { url: line.url, transports: [transport] })
  const heard = await Reader.live(reader, TOPIC)
  line.refuse()
  line.cut()
  await until(() => reader.status === 'reconnecting', 'the reader to lose its line')
  for (const number of range(1, 300)) await world.service.publish(TOPIC, number)
  return { line, heard }
}

/** It has all that it missed, is live again, and hears the next one. */
async function caughtUp({ service }: World, heard: Reader): Promise<void> {
  await heard.reached(300)
  await until(() => heard.subscription.state === 'subscribed', 'the topic to be live')
  await service.publish(TOPIC, 301)
  await heard.reached(301)
}

describe.each(['websocket', 'polling'] as const)('over %s', (transport) => {
  test('[P2][W10][C2] cut again and again while it recovers: each page goes on where the last one ended', async () => {
    await using world = await World.start({ limits: { maxPageMessages: 10 } })
    const { line, heard } = await behind(world, transport)
    // A page that has been made and is on its way is lost with its line, four times.
    let pages = 0
    world.service.on('subscribe', () => {
      pages += 1
      if ([1, 6, 7, 20].includes(pages)) line.cut()
    })
    line.accept()
    await caughtUp(world, heard)

    expect(heard.payloads).toEqual(range(1, 301))
    expect(heard.seqs).toEqual(range(1, 301))
    expect(heard.gaps).toEqual([])
    // It is told once that it is live again, however many lines that took.
    expect(heard.log.filter((entry) => entry === 'subscribed')).toHaveLength(2)
    expect(pages).toBe(34)
  })

  test('[P2][C5] a listener that cuts the line in the middle of a page gets the rest of it once', async () => {
    await using world = await World.start()
    const { line, heard } = await behind(world, transport)
    let cuts = 0
    heard.onMessage = ({ seq }) => {
      if (seq % 60 !== 0 || cuts === 4) return
      cuts += 1
      line.cut()
    }
    line.accept()
    await caughtUp(world, heard)
    expect(heard.seqs).toEqual(range(1, 301))
    expect(heard.gaps).toEqual([])
  })

  test('[P2][P9] what is published between the cut and the recovery, and right behind it, comes once', async () => {
    await using world = await World.start()
    const line = await world.line()
    const reader = await world.join('ada', { url: line.url, transports: [transport] })
    const heard = await Reader.live(reader, TOPIC)
    // At every step of the way back one more is published: while nobody is there, before the
    // subscription is restored, and in the turn in which it is.
    let published = 0
    const publishOne = (): void => {
      published += 1
      void world.service.publish(TOPIC, published)
    }
    world.service.on('disconnect', publishOne)
    world.service.on('connection', publishOne)
    world.service.on('subscribe', publishOne)
    for (const round of range(1, 10)) {
      await until(() => {
        // Between two polls there is nothing to cut.
        line.cut()
        return reader.status === 'reconnecting'
      }, 'the reader to lose its line')
      await until(() => heard.subscribed.length === round + 1, 'the topic to be live again')
    }
    await heard.received(published)
    expect(heard.payloads).toEqual(range(1, published))
    expect(heard.seqs).toEqual(range(1, published))
    expect(published).toBe(30)
    expect(heard.gaps).toEqual([])
    expect(reader.getStats().reconnectCount).toBe(10)
  })
})
