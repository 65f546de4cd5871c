import { expect, test } from 'vitest'
import { failureOf } from '../failure.js'
import { OPEN_RULE, World } from '../harness.js'
import { range, Reader } from '../reader.js'
import { until, within } from '../until.js'

const TOPIC = 'open:news'

test('[P2][P3][C1] the server is killed and comes back empty: `epoch_changed` first, then the new epoch from its first on', async () => {
  await using world = await World.start()
  const line = await world.line()
  const reader = await world.join('ada', { url: line.url })
  const heard = await Reader.live(reader, TOPIC)
  const idle = await Reader.live(reader, 'open:idle')
  for (const number of range(1, 5)) await world.service.publish(TOPIC, `old ${number}`)
  await heard.received(5)
  const oldEpoch = heard.messages[0]?.epoch

  line.refuse()
  await world.crash()
  await until(() => reader.status === 'reconnecting', 'the reader to notice')
  await world.revive()
  // Before the reader is back, the new epoch has got further than the old one was.
  const acks = await Promise.all(
    range(1, 8).map((number) => world.service.publish(TOPIC, `new ${number}`)),
  )
  line.accept()
  await heard.received(13)
  await world.service.publish(TOPIC, 'new 9')
  await heard.received(14)

  const epoch = acks[0]?.epoch
  expect(epoch).not.toBe(oldEpoch)
  expect(heard.gaps).toEqual([{ from: null, to: null, epoch, reason: 'epoch_changed' }])
  expect(heard.log).toEqual(['subscribed', ...range(1, 5), 'gap', ...range(1, 8), 'subscribed', 9])
  expect(heard.payloads.slice(5)).toEqual(range(1, 9).map((number) => `new ${number}`))
  expect(heard.subscribed[1]).toMatchObject({ recovered: false, replayed: 8 })
  // What was lost of a topic where nothing had been said cannot be known, either.
  await until(() => idle.subscribed.length === 2, 'the idle topic to be live again')
  expect(idle.log).toEqual(['subscribed', 'gap', 'subscribed'])
  expect(reader.getStats()).toMatchObject({ reconnectCount: 1, gaps: 2, duplicates: 0 })
})

test('[P3][L2] where the first ones of the new epoch have gone, too, the gap names the last of them', async () => {
  await using world = await World.start({ channels: [{ ...OPEN_RULE, history: { size: 10 } }] })
  const line = await world.line()
  const reader = await world.join('ada', { url: line.url })
  const heard = await Reader.live(reader, TOPIC)
  await world.service.publish(TOPIC, 'old')
  await heard.received(1)
  line.refuse()
  await world.crash()
  await until(() => reader.status === 'reconnecting', 'the reader to notice')
  await world.revive()
  for (const number of range(1, 25)) await world.service.publish(TOPIC, `new ${number}`)
  line.accept()
  await heard.reached(25)
  const epoch = heard.messages.at(-1)?.epoch
  expect(heard.gaps).toEqual([{ from: null, to: 15, epoch, reason: 'epoch_changed' }])
  expect(heard.log.slice(0, 3)).toEqual(['subscribed', 1, 'gap'])
  expect(heard.seqs.slice(1)).toEqual(range(16, 25))
})

test('[P4][P5] what was once on the wire settles as unknown and is not sent again; what never was is sent', async () => {
  await using world = await World.start()
  const line = await world.line()
  const client = await world.join('ada', { url: line.url })
  let appended = 0
  world.service.on('publish', () => (appended += 1))
  const sent = new Set<string>()
  client.onOutbox(({ id, state }) => state === 'sent' && sent.add(id))

  // One of which the server has heard, one that was still on its way.
  line.stall('down')
  const heard = failureOf(client.publish(TOPIC, 'heard', { id: 'heard' }))
  await until(() => appended === 1, 'the server to accept the first')
  line.stall('up')
  const onItsWay = failureOf(client.publish(TOPIC, 'on its way', { id: 'on-its-way' }))
  await until(() => sent.size === 2, 'the client to send both')
  line.refuse()
  line.cut()
  await until(() => client.status === 'reconnecting', 'the client to lose its line')
  const waiting = range(1, 3).map((number) => client.publish(TOPIC, `waited ${number}`))

  await world.crash()
  await world.revive()
  line.flow()
  line.accept()

  for (const failure of [await within(heard, 'the first'), await within(onItsWay, 'the second')]) {
    expect(failure).toMatchObject({ code: 'timeout', details: { outcome: 'unknown' } })
  }
  const acks = await within(Promise.all(waiting), 'those that waited')
  expect(acks.map(({ seq, duplicate }) => [seq, duplicate])).toEqual([
    [1, false],
    [2, false],
    [3, false],
  ])
  const { messages } = await world.service.history(TOPIC)
  expect(messages.map(({ payload }) => payload)).toEqual(['waited 1', 'waited 2', 'waited 3'])
  expect(client.getStats()).toMatchObject({ queueSize: 0, failed: 2, acknowledged: 3 })
})

test('[W25][C2][C3] a server that is stopped says so; its clients come back later and go on', async () => {
  await using world = await World.start()
  const client = await world.join('ada')
  const heard = await Reader.live(client, TOPIC)
  const waits: number[] = []
  const codes: (string | undefined)[] = []
  client.onConnection(({ status, error, retryInMs }) => {
    if (status !== 'reconnecting' || retryInMs === undefined) return
    codes.push(error?.code)
    waits.push(retryInMs)
  })
  await world.stop()
  await until(() => codes.length > 0, 'the client to notice')
  await world.revive()
  const ack = await within(client.publish(TOPIC, 'after'), 'the acknowledgement')
  await heard.received(1)

  expect(codes[0]).toBe('server_closing')
  // It was asked to stay away for a second, and adds a little of its own.
  expect(waits[0]).toBeGreaterThanOrEqual(1_000)
  expect(ack).toMatchObject({ seq: 1, duplicate: false })
  expect(heard.log).toEqual(['subscribed', 'gap', 'subscribed', 1])
})
