import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { devAuth, RealtimeService } from '@bmt-central/realtime-server'
import { RealtimeClient } from '@bmt-central/realtime'
import { describe, expect, test } from 'vitest'
import { OPEN_RULE, World } from '../harness.js'
import { range, Reader } from '../reader.js'
import { until, within } from '../until.js'

const TOPIC = 'open:news'

describe('over HTTP long-polling', () => {
  test('[W1][P1][P2][P4] order, recovery and resends are the same', async () => {
    await using world = await World.start()
    const line = await world.line()
    const client = await world.join('ada', { url: line.url, transports: ['polling'] })
    const heard = await Reader.live(client, TOPIC)
    const watcher = await Reader.live(await world.join('bob'), TOPIC)
    expect(world.service.connections({ userId: 'ada' })).toMatchObject([{ transport: 'polling' }])
    let appended = 0
    world.service.on('publish', () => {
      appended += 1
      if (appended === 20) line.cut()
    })
    const acks = range(1, 40).map((number) => client.publish(TOPIC, number))
    const settled = await within(Promise.all(acks), 'the acknowledgements')
    await Promise.all([heard.received(40), watcher.received(40)])
    expect(settled.map(({ seq }) => seq)).toEqual(range(1, 40))
    for (const { payloads } of [heard, watcher]) expect(payloads).toEqual(range(1, 40))
    expect(heard.gaps).toEqual([])
    expect(client.getStats().reconnectCount).toBeGreaterThanOrEqual(1)
  })
})

describe('where WebSockets do not get through', () => {
  test('[W1] polling is used instead, and WebSocket is tried again at the next connect', async () => {
    const http = createServer()
    const service = new RealtimeService({ authenticate: devAuth(), channels: [OPEN_RULE] })
    await service.attach(http)
    let blocked = true
    http.prependListener('upgrade', (_request, socket) => {
      // As a proxy in between that has never heard of WebSockets.
      if (blocked) socket.destroy()
    })
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
    try {
      const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`
      await using client = new RealtimeClient({ url, auth: 'dev:ada' })
      const transport = () => service.connections().map((connection) => connection.transport)
      await within(client.connect(), 'the client to connect')
      expect(transport()).toEqual(['polling'])
      expect(await client.publish(TOPIC, 1)).toMatchObject({ seq: 1 })

      blocked = false
      client.disconnect()
      await until(() => service.getStats().connections === 0, 'the server to notice')
      await within(client.connect(), 'the client to connect again')
      expect(transport()).toEqual(['websocket'])
    } finally {
      await service.close()
      await new Promise((resolve) => http.close(resolve))
    }
  })
})
