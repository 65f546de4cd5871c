import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { RealtimeClient } from '@bmt-central/realtime'
import { devAuth, RealtimeService } from '@bmt-central/realtime-server'
import express from 'express'
import fastify from 'fastify'
import { describe, expect, test } from 'vitest'

/** An application with one page of its own, and how it ends. */
interface Application {
  readonly server: Server
  listen(): Promise<void>
  close(): Promise<unknown>
}

function expressApplication(): Application {
  const app = express()
  app.get('/hello', (_request, response) => void response.send('from express'))
  const server = createServer(app)
  return {
    server,
    listen: () => new Promise((resolve) => server.listen(0, '127.0.0.1', resolve)),
    close: () => new Promise((resolve) => server.close(resolve)),
  }
}

function fastifyApplication(): Application {
  const app = fastify()
  app.get('/hello', () => 'from fastify')
  return {
    server: app.server,
    listen: async () => void (await app.listen({ port: 0, host: '127.0.0.1' })),
    close: () => app.close(),
  }
}

describe.each([
  ['express', expressApplication],
  ['fastify', fastifyApplication],
])('an application with %s', (name, create) => {
  test.each(['before', 'after'])(
    `[W1] serves its own pages and realtime on one port, attached %s it listens (${name})`,
    async (when) => {
      const application = create()
      const realtime = new RealtimeService({ authenticate: devAuth() })
      if (when === 'before') await realtime.attach(application.server)
      await application.listen()
      if (when === 'after') await realtime.attach(application.server)
      const { port } = application.server.address() as AddressInfo
      const url = `http://127.0.0.1:${port}`

      for (const transport of ['websocket', 'polling'] as const) {
        await using client = new RealtimeClient({ url, auth: 'dev:ann', transports: [transport] })
        const heard: unknown[] = []
        const topic = `public:${transport}`
        await client.connect()
        await client.subscribe(topic, ({ payload }) => void heard.push(payload)).ready
        await realtime.publish(topic, 'from the server')
        expect(await client.publish(topic, 'from the client')).toMatchObject({ seq: 2 })
        await expect.poll(() => heard).toEqual(['from the server', 'from the client'])
      }
      const own = async (path: string): Promise<[number, string]> => {
        const response = await fetch(`${url}${path}`, { headers: { connection: 'close' } })
        return [response.status, await response.text()]
      }
      expect(await own('/hello')).toEqual([200, `from ${name}`])
      expect((await own('/missing'))[0]).toBe(404)

      // The application outlives the service, and has its path back.
      await realtime.close()
      expect(await own('/hello')).toEqual([200, `from ${name}`])
      expect((await own('/socket.io/?EIO=4&transport=polling'))[0]).toBe(404)
      await application.close()
    },
  )
})
