import type { RealtimeError } from '@bmt-central/realtime-protocol'
import { createServer as createHttpServer, type Server as HttpServer } from 'node:http'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { Server as SocketServer, type Socket as ServerSocket } from 'socket.io'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { Handshake, Link } from './link.js'
import { socketIoLink, type TransportName } from './socket-io-link.js'

const handshake: Handshake = {
  token: 'secret',
  protocol: 1,
  client: { name: 'test', version: '1', instance: 'instance-of-the-test', attempt: 1 },
}

interface Peer {
  readonly url: string
  readonly io: SocketServer
  readonly http: HttpServer
}

async function listen(server: Server | HttpServer): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** A plain Socket.IO server, as little of ours as possible. */
async function peer(options: { path?: string; transports?: TransportName[] } = {}): Promise<Peer> {
  const http = createHttpServer((_request, response) => response.writeHead(404).end())
  const io = new SocketServer(http, options)
  const url = await listen(http)
  onTestFinished(async () => {
    http.closeAllConnections()
    await io.close()
  })
  return { url, io, http }
}

interface Heard {
  readonly link: Link
  readonly events: [string, unknown][]
  readonly downs: RealtimeError[]
  packets: number
  /** Waits until the condition holds; checked after everything that is heard. */
  readonly until: (condition: () => boolean) => Promise<void>
}

function open(
  url: string,
  { path = '/socket.io', transports = ['websocket', 'polling'] as TransportName[] } = {},
): Heard {
  const waiting = new Set<() => void>()
  const look = (): void => waiting.forEach((check) => check())
  const heard: Omit<Heard, 'link'> = {
    events: [],
    downs: [],
    packets: 0,
    until: (condition) =>
      new Promise((resolve) => {
        const check = (): void => {
          if (!condition()) return
          waiting.delete(check)
          resolve()
        }
        waiting.add(check)
        check()
      }),
  }
  const link = socketIoLink({ url, path, transports })(handshake, {
    packet: () => {
      heard.packets += 1
      look()
    },
    event: (name, data) => {
      heard.events.push([name, data])
      look()
    },
    down: (error) => {
      heard.downs.push(error)
      look()
    },
  })
  onTestFinished(() => link.drop())
  return Object.assign(heard, { link })
}

const nextSocket = (io: SocketServer): Promise<ServerSocket> =>
  new Promise((resolve) => io.once('connection', resolve))

describe.each(['websocket', 'polling'] as const)('over %s', (transport) => {
  const transports: TransportName[] = [transport]

  test('[W1][W2] the handshake arrives, and nothing of it in the query', async () => {
    const { url, io } = await peer()
    const connected = nextSocket(io)
    open(url, { transports })
    const socket = await connected
    expect(socket.handshake.auth).toEqual(handshake)
    expect(JSON.stringify(socket.handshake.query)).not.toContain('secret')
    expect(socket.conn.transport.name).toBe(transport)
  })

  test('[W4] events and answers come in order; every packet counts as life [C5]', async () => {
    const { url, io } = await peer()
    const order: string[] = []
    io.on('connection', (socket) => {
      socket.on('ask', (data: unknown, answer: (value: unknown) => void) => {
        socket.emit('before', data)
        answer({ got: data })
        socket.emit('after', data)
      })
      socket.emit('connected', { hello: true })
    })
    const heard = open(url, { transports })
    const { link, events, until } = heard
    await until(() => events.length === 1)
    link.request('ask', { n: 1 }, (answer) => order.push(`answer ${JSON.stringify(answer)}`))
    await until(() => {
      order.push(...events.splice(1).map(([name]) => name))
      return order.includes('after')
    })
    expect(order).toEqual(['before', 'answer {"got":{"n":1}}', 'after'])
    // At least one for each: the two events before, the answer, the last event.
    expect(heard.packets).toBeGreaterThanOrEqual(4)
  })

  test('[W2] a refusal with data is told with its code', async () => {
    const { url, io } = await peer()
    io.use((_, next) => {
      const data = {
        code: 'too_many_connections',
        message: 'full',
        retryable: true,
        retryAfterMs: 7,
      }
      next(Object.assign(new Error('full'), { data }))
    })
    const { downs, until } = open(url, { transports })
    await until(() => downs.length > 0)
    expect(downs).toMatchObject([
      { code: 'too_many_connections', message: 'full', retryAfterMs: 7 },
    ])
  })

  test('[W2] without data it is not_connected, retryable, with the cause', async () => {
    const { url } = await peer({ path: '/elsewhere' })
    const { downs, until } = open(url, { transports })
    await until(() => downs.length > 0)
    expect(downs).toMatchObject([{ code: 'not_connected', retryable: true }])
    expect(downs[0]?.cause).toBeInstanceOf(Error)
  })

  test('[C7] dropped, it sends and tells nothing more, and the server sees it leave', async () => {
    const { url, io } = await peer()
    const connected = nextSocket(io)
    const { link, events, downs, until } = open(url, { transports })
    io.on('connection', (socket) => socket.emit('connected', {}))
    const socket = await connected
    await until(() => events.length === 1)
    const left = new Promise((resolve) => socket.once('disconnect', resolve))
    const answers: unknown[] = []
    link.request('never', {}, (answer) => answers.push(answer))
    link.drop()
    link.drop()
    link.request('late', {}, (answer) => answers.push(answer))
    await left
    expect([events.length, downs.length, answers.length]).toEqual([1, 0, 0])
  })

  test('[W25] an end by the server is told once', async () => {
    const { url, io } = await peer()
    io.on('connection', (socket) => {
      socket.emit('connected', {})
      socket.disconnect(true)
    })
    const { downs, until } = open(url, { transports })
    await until(() => downs.length > 0)
    expect(downs).toMatchObject([{ code: 'not_connected', retryable: true }])
  })
})

describe('which transport', () => {
  test('[W1] polling where WebSocket does not open, WebSocket again at the next connect', async () => {
    const { url, io, http } = await peer()
    const upgrades = http.listeners('upgrade')
    http.removeAllListeners('upgrade')
    http.on('upgrade', (_request, socket: Socket) => socket.destroy())
    const first = nextSocket(io)
    open(url)
    expect((await first).conn.transport.name).toBe('polling')
    http.removeAllListeners('upgrade')
    for (const listener of upgrades) http.on('upgrade', listener as () => void)
    const second = nextSocket(io)
    open(url)
    expect((await second).conn.transport.name).toBe('websocket')
  })

  test('[W1] no second transport where the first one opened and was refused', async () => {
    const { url, io } = await peer()
    let asked = 0
    io.use((_, next) => {
      asked += 1
      next(Object.assign(new Error('no'), { data: { code: 'unauthenticated', message: 'no' } }))
    })
    const { downs, until } = open(url)
    await until(() => downs.length > 0)
    expect([asked, downs.length]).toEqual([1, 1])
    expect(downs[0]).toMatchObject({ code: 'unauthenticated', retryable: false })
  })

  test('[W1] nobody there: both are tried, one failure is told', async () => {
    const server = createServer()
    const url = await listen(server)
    await new Promise((resolve) => server.close(resolve))
    const { downs, until } = open(url)
    await until(() => downs.length > 0)
    expect(downs).toMatchObject([{ code: 'not_connected', retryable: true }])
  })
})

/** A line to a server that swallows everything once it is cut, and closes nothing. */
async function line(url: string): Promise<{ url: string; cut: () => Promise<void> }> {
  let isCut = false
  let ended = (): void => undefined
  const server = createServer((near) => {
    const far = connect(Number(new URL(url).port), '127.0.0.1')
    near.on('data', (bytes) => isCut || far.write(bytes))
    far.on('data', (bytes) => isCut || near.write(bytes))
    near.on('error', () => undefined)
    far.on('error', () => undefined)
    near.once('close', () => {
      far.destroy()
      ended()
    })
    onTestFinished(() => {
      near.destroy()
    })
  })
  onTestFinished(() => new Promise<void>((resolve) => void server.close(() => resolve())))
  return {
    url: await listen(server),
    cut: () => {
      isCut = true
      return new Promise((resolve) => {
        ended = resolve
      })
    },
  }
}

test('[C5] a half-open link is dropped at once: its TCP connection is gone, too', async () => {
  const { url, io } = await peer()
  io.on('connection', (socket) => socket.emit('connected', {}))
  const halfOpen = await line(url)
  const { link, events, downs, until } = open(halfOpen.url)
  await until(() => events.length === 1)
  const gone = halfOpen.cut()
  link.request('lost', {}, () => undefined)
  link.drop()
  await gone
  expect(downs).toEqual([])
})

test('[C5] half-open over polling, a dropped link says nothing more and another one opens', async () => {
  const { url, io } = await peer()
  io.on('connection', (socket) => socket.emit('connected', {}))
  const halfOpen = await line(url)
  const old = open(halfOpen.url, { transports: ['polling'] })
  await old.until(() => old.events.length === 1)
  void halfOpen.cut()
  old.link.drop()
  const next = open(url, { transports: ['polling'] })
  await next.until(() => next.events.length === 1)
  io.emit('message', {})
  await next.until(() => next.events.length === 2)
  expect([old.events.length, old.downs.length]).toEqual([1, 0])
})
