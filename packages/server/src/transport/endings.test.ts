import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { RealtimeService } from '../realtime-service.js'
import { RawSocket } from '../testing/rig/raw-socket.js'
import { authenticateAnybody, TestServer, turns } from '../testing/rig/test-server.js'

const TOKEN = { token: JSON.stringify({ userId: 'eve', role: 'user' }) }

test('[W25][P7] a client that ignores the close is cut off a second later', async () => {
  await using server = await TestServer.start()
  const eve = await RawSocket.join(server.url, TOKEN)
  await server.runtime.advance(1)
  server.service.cleanupStaleConnections(0)
  await eve.until(() => eve.text.includes('["closing",{"code":"stale"'))
  await turns()
  expect(eve.closed).toBe(false)
  await server.runtime.advance(1_000)
  await eve.end()
  expect(server.service.connections()).toEqual([])
})

test('[P7] a listener of the application’s that throws at an end keeps no other connection', async () => {
  await using server = await TestServer.start()
  server.service.io.on('connection', (socket) => {
    socket.on('disconnect', () => {
      throw new Error('from the application')
    })
  })
  const expiresAt = server.runtime.wallNow() + 1_000
  const clients = await Promise.all(
    ['ann', 'bob', 'cid'].map((userId) => server.connect({ userId, expiresAt })),
  )
  await server.runtime.advance(1_000)
  for (const client of clients) await client.heard('disconnect')
  expect(server.service.connections()).toEqual([])
})

test('[W25] the same between two polls, where there is nothing to answer', async () => {
  await using server = await TestServer.start()
  const eve = await Poller.join(server.url, TOKEN)
  await server.runtime.advance(1)
  server.service.cleanupStaleConnections(0)
  await turns()
  expect(server.service.io.engine.clientsCount).toBe(1)
  await server.runtime.advance(1_000)
  expect(server.service.io.engine.clientsCount).toBe(0)
  expect((await eve.poll()).status).toBe(400)
})

test('[L9] a transport that was refused ends within a second, whatever its client does', async () => {
  await using server = await TestServer.start()
  const raw = await RawSocket.open(server.url)
  raw.send('40{"token":"no json"}')
  await raw.until(() => raw.text.includes('44{'))
  expect(raw.text).toContain('"code":"unauthenticated"')
  await server.runtime.advance(1_000)
  await raw.end()
  expect(server.service.io.engine.clientsCount).toBe(0)
})

test('[W7] what Socket.IO’s parser refuses ends the connection, within a second its transport', async () => {
  await using server = await TestServer.start()
  const eve = await RawSocket.join(server.url, TOKEN)
  eve.send('2{"no":"event"}')
  expect(await server.told('disconnect')).toMatchObject([{ code: null }])
  await server.runtime.advance(1_000)
  await eve.end()
  expect(server.service.getStats().connections).toBe(0)
})

test('[L5] a POST above maxFrameBytes ends its session', async () => {
  await using server = await TestServer.start({
    limits: { maxFrameBytes: 20_000, maxPayloadBytes: 1_000 },
  })
  const eve = await Poller.join(server.url, TOKEN)
  expect(
    (await eve.post(`42["heartbeat",{"timestamp":1,"x":"${'x'.repeat(20_000)}"}]`)).status,
  ).toBe(413)
  expect(await server.told('disconnect')).toHaveLength(1)
})

test('close ends those that do not answer, too, and leaves nothing running', async () => {
  const server = await TestServer.start()
  const eve = await RawSocket.join(server.url, TOKEN)
  const waiting = await RawSocket.open(server.url)
  const closed = server.service.close()
  await eve.until(() => eve.text.includes('"code":"server_closing"'))
  await server.runtime.advance(1_000)
  await closed
  await Promise.all([eve.end(), waiting.end()])
  expect(server.runtime.pendingTimers).toBe(0)
  await expect(fetch(server.url)).rejects.toThrow('fetch failed')
})

test('close leaves an attached HTTP server open, as it was before', async () => {
  await using host = await startHost()
  const service = new RealtimeService({ authenticate: authenticateAnybody })
  await service.attach(host.server)
  expect((await fetch(`${host.url}/socket.io/?EIO=4&transport=polling`)).status).toBe(200)
  expect(await (await fetch(`${host.url}/page`)).text()).toBe('the application’s /page')
  await service.close()
  // The path is the application's again.
  const later = await fetch(`${host.url}/socket.io/?EIO=4&transport=polling`)
  expect(await later.text()).toBe('the application’s /socket.io/?EIO=4&transport=polling')

  const next = new RealtimeService({ authenticate: authenticateAnybody })
  await next.attach(host.server)
  const raw = await RawSocket.join(host.url, TOKEN)
  expect(next.connections()).toHaveLength(1)
  await next.close()
  await raw.end()
})

test('a request that comes while the server closes is refused', async () => {
  await using host = await startHost()
  const service = new RealtimeService({ authenticate: authenticateAnybody })
  await service.attach(host.server)
  const eve = await RawSocket.join(host.url, TOKEN)
  const closed = service.close()
  const refused = await fetch(`${host.url}/socket.io/?EIO=4&transport=polling`)
  expect([refused.status, await refused.json()]).toEqual([
    403,
    { code: 4, message: 'the server is closing' },
  ])
  await closed
  await eve.end()
})

test('one service serves on several HTTP servers, and on each of them once', async () => {
  await using first = await startHost()
  await using second = await startHost()
  const service = new RealtimeService({ authenticate: authenticateAnybody })
  await service.attach(first.server)
  await service.attach(second.server)
  await expect(service.attach(first.server)).rejects.toMatchObject({ code: 'invalid_options' })
  const sockets = [
    await RawSocket.join(first.url, TOKEN),
    await RawSocket.join(second.url, { token: JSON.stringify({ userId: 'bob', role: 'user' }) }),
  ]
  expect(service.connections().map(({ user }) => user.userId)).toEqual(['eve', 'bob'])
  await service.close()
  await Promise.all(sockets.map((raw) => raw.end()))
})

/** An application's HTTP server that answers everything. */
async function startHost(): Promise<{ server: Server; url: string } & AsyncDisposable> {
  const server = createServer((request, response) => {
    response.end(`the application’s ${request.url}`)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    server,
    url: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** A polling client that polls only when a test says so. */
class Poller {
  readonly #url: string

  private constructor(url: string) {
    this.#url = url
  }

  static async join(url: string, auth: object): Promise<Poller> {
    const base = `${url}/socket.io/?EIO=4&transport=polling`
    const opened = await (await fetch(base)).text()
    const { sid } = JSON.parse(opened.slice(1)) as { sid: string }
    const poller = new Poller(`${base}&sid=${sid}`)
    await poller.post(`40${JSON.stringify(auth)}`)
    for (;;) {
      const text = await (await poller.poll()).text()
      if (text.includes('["connected",')) return poller
    }
  }

  poll(): Promise<Response> {
    return fetch(this.#url)
  }

  post(text: string): Promise<Response> {
    return fetch(this.#url, { method: 'POST', body: text })
  }
}
