import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { RealtimeService } from '@bmt-central/realtime-server'
import { generate } from 'selfsigned'
import { io } from 'socket.io-client'
import { expect, test } from 'vitest'
import { until } from '../until.js'

/** More than one socket takes at once: some of it waits for the network. */
const TEXT = 'x'.repeat(48 * 1_024)
const COUNT = 100

test.each([['websocket'], ['polling']])(
  '[P1][P2] over https (%s), everything arrives in order',
  async (transport) => {
    const { cert, private: key } = await generate([{ name: 'commonName', value: 'localhost' }])
    const server = createServer({ cert, key })
    const service = new RealtimeService({
      authenticate: () => ({ userId: 'ann', role: 'user', permissions: [] }),
      channels: [{ match: '*', subscribe: 'anyone', publish: 'anyone' }],
    })
    await service.attach(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const client = io(`https://127.0.0.1:${port}`, {
      transports: [transport],
      rejectUnauthorized: false,
      reconnection: false,
      auth: { token: 'any' },
    })
    const heard: number[] = []
    const all = new Promise<void>((resolve) => {
      client.on('message', ({ payload }: { payload: { n: number } }) => {
        if (heard.push(payload.n) === COUNT) resolve()
      })
    })
    await client.timeout(10_000).emitWithAck('subscribe', { topic: 'a' })
    for (let n = 1; n <= COUNT; n += 1) await service.publish('a', { n, text: TEXT })
    await all
    expect(heard).toEqual(Array.from({ length: COUNT }, (_, index) => index + 1))
    await until(() => service.connections()[0]?.waitingBytes === 0, 'the network')
    expect(service.connections()).toMatchObject([{ transport }])
    client.disconnect()
    // A TLS handshake that is under way would hold the server open.
    await until(() => service.connections().length === 0, 'the end of the connection')
    await service.close()
    server.closeAllConnections()
    server.close()
  },
)
