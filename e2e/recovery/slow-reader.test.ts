import { expect, test } from 'vitest'
import { OPEN_RULE, World } from '../harness.js'
import { range, Reader } from '../reader.js'
import { steppedClock } from '../stepped-clock.js'
import { until } from '../until.js'

const TOPIC = 'open:news'
const MIB = 1_024 * 1_024
/** More than the sockets between server and reader can hold. */
const MOST = 1_000

test('[P7][P2] a reader that takes nothing is ended, costs the others nothing, and recovers all of it', async () => {
  // Time stands still: it is ended for what waits, not for how long it has waited.
  await using world = await World.start({
    runtime: steppedClock().runtime,
    channels: [{ ...OPEN_RULE, history: { size: MOST, bytes: 64 * MIB } }],
    limits: { maxBufferedBytes: MIB, hardMaxBufferedBytes: 2 * MIB },
  })
  const line = await world.line()
  const slow = await Reader.live<{ number: number }>(
    await world.join('ada', { url: line.url }),
    TOPIC,
  )
  const quick = await Reader.live<{ number: number }>(await world.join('bob'), TOPIC)
  const codes: (string | null)[] = []
  world.service.on('disconnect', ({ code }) => codes.push(code))

  line.stall('down')
  const text = 'x'.repeat(60_000)
  let number = 0
  while (codes.length === 0 && number < MOST) {
    number += 1
    await world.service.publish(TOPIC, { number, text })
    await quick.received(number)
  }
  expect(codes).toEqual(['slow_consumer'])
  line.flow()
  await slow.reached(number)
  await until(() => slow.subscription.state === 'subscribed', 'the slow one to be live again')
  await world.service.publish(TOPIC, { number: number + 1, text })
  await Promise.all([slow.reached(number + 1), quick.reached(number + 1)])

  for (const { payloads, gaps } of [slow, quick]) {
    expect(payloads.map((payload) => payload.number)).toEqual(range(1, number + 1))
    expect(gaps).toEqual([])
  }
  expect(codes).toEqual(['slow_consumer'])
})
