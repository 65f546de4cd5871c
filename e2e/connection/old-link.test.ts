import { virtualRuntime } from '@bmt-central/realtime-protocol/testing'
import { devAuth } from '@bmt-central/realtime-server'
import { describe, expect, test } from 'vitest'
import { gate } from '../gate.js'
import { World } from '../harness.js'
import type { Wire } from '../proxy.js'
import { range, Reader } from '../reader.js'
import { turns, until, within } from '../until.js'

const TOPIC = 'open:room'
const ASIDE = 'open:aside'
const HEARTBEAT_MS = 1_000
const SILENCE_MS = 10_000
const OPENING_LIMIT_MS = 30_000
const LONGEST_RETRY_MS = 200

/** Why the server ended connections of its, in order. */
function endingsOf(world: World): (string | null)[] {
  const endings: (string | null)[] = []
  world.service.on('disconnect', ({ code }) => endings.push(code))
  return endings
}

/** What was written to the wires arrives late, and then their end. */
async function endLate(wires: readonly Wire[]): Promise<void> {
  for (const wire of wires) wire.flow('up')
  for (const wire of wires) wire.flow('down')
  await within(Promise.all(wires.map(({ ended }) => ended)), 'the end of the old wires')
}

function bytesUp(wires: readonly Wire[]): number {
  return wires.reduce((sum, wire) => sum + wire.bytes('up'), 0)
}

describe.each(['websocket', 'polling'] as const)('over %s', (transport) => {
  test('[W2][C5][P2][P4] a link that was given up for dead ends late: the new one goes on as if nothing had been', async () => {
    await using world = await World.start({ heartbeatInterval: HEARTBEAT_MS })
    const line = await world.line()
    const runtime = virtualRuntime()
    const client = await world.join('ada', { url: line.url, transports: [transport], runtime })
    const heard = await Reader.live(client, TOPIC)
    const endings = endingsOf(world)
    const acks: number[] = []
    const asides: Reader[] = []
    let lateBytes = 0

    for (const round of range(1, 3)) {
      const aside = await Reader.live(client, ASIDE)
      line.stall()
      // Both are on their way when the link is given up, and done again by the next one.
      const ack = client.publish(TOPIC, round)
      aside.subscription.unsubscribe()
      // Polls and requests have wires of their own, which are stalled, too.
      await turns()
      const old = line.wires
      const before = bytesUp(old)
      await runtime.advance(HEARTBEAT_MS + SILENCE_MS)
      expect(client.status).toBe('reconnecting')
      line.flowAnew()
      asides.push(new Reader(client, ASIDE))
      await runtime.advance(LONGEST_RETRY_MS)
      await until(() => client.status === 'connected', 'the client to be back')
      acks.push((await within(ack, 'the acknowledgement')).seq)
      await within(asides.at(-1)?.subscription.ready ?? Promise.reject(), 'the other topic')

      await endLate(old)
      lateBytes += bytesUp(old) - before
      expect(client.getStats()).toMatchObject({ status: 'connected', reconnectCount: round })
      await world.service.publish(ASIDE, round)
      await asides.at(-1)?.received(1)
      asides.at(-1)?.subscription.unsubscribe()
    }

    await client.publish(TOPIC, 'the last')
    await heard.received(4)
    expect(acks).toEqual([1, 2, 3])
    expect(heard.payloads).toEqual([1, 2, 3, 'the last'])
    expect(heard.seqs).toEqual([1, 2, 3, 4])
    expect(asides.map(({ payloads }) => payloads)).toEqual([[1], [2], [3]])
    expect([...heard.gaps, ...asides.flatMap(({ gaps }) => gaps)]).toEqual([])
    // Each of them was replaced, not found dead: its end changed nothing that it had left behind.
    expect(endings).toEqual(['kicked', 'kicked', 'kicked'])
    expect(world.service.connections().map(({ connectionId }) => connectionId)).toEqual([
      client.getStats().connectionId,
    ])
    expect(lateBytes).toBeGreaterThan(0)
  })

  test('[W2][P2] a link that was given up is admitted late: it is the one that goes', async () => {
    const late = gate()
    const admit = devAuth()
    let handshakes = 0
    await using world = await World.start({
      authenticate: async (handshake) => {
        handshakes += 1
        if (handshakes === 1) await late.passed
        return admit(handshake)
      },
    })
    const line = await world.line()
    const runtime = virtualRuntime()
    const client = world.client('ada', { url: line.url, transports: [transport], runtime })
    const opened: string[] = []
    world.service.on('connection', ({ connectionId }) => opened.push(connectionId))
    const endings = endingsOf(world)
    const connected = client.connect()
    await until(() => handshakes === 1, 'the first handshake')
    line.stall()
    await runtime.advance(OPENING_LIMIT_MS)
    // Its farewell does not get through, either.
    await turns()
    const old = line.wires
    line.flowAnew()
    await runtime.advance(LONGEST_RETRY_MS)
    await within(connected, 'the client to connect by another link')
    const heard = await Reader.live(client, TOPIC)
    await client.publish(TOPIC, 1)

    late.open()
    await until(() => opened.length === 2, 'the late admission')
    await until(() => endings.length === 1, 'the end of one of them')
    await client.publish(TOPIC, 2)
    await endLate(old)
    await client.publish(TOPIC, 3)
    await heard.received(3)

    expect(endings).toEqual(['kicked'])
    expect(world.service.connections().map(({ connectionId }) => connectionId)).toEqual([opened[0]])
    expect(client.getStats()).toMatchObject({
      status: 'connected',
      connectionId: opened[0],
      reconnectCount: 0,
    })
    expect(heard.payloads).toEqual([1, 2, 3])
  })
})
