import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { WebSocketServer } from 'ws'
import { Audience } from './audience.js'
import { payloadOf } from './key.js'
import { until } from './until.js'

/** A server that sends a subscriber messages of these numbers, and what the audience makes of them. */
async function heard(numbers: readonly number[]): Promise<Audience> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await once(server, 'listening')
  server.on('connection', (socket) => {
    socket.on('message', (data) => {
      const [, id] = JSON.parse((data as Buffer).toString()) as [string, number]
      socket.send(JSON.stringify(['ack', id, { status: 'success' }]))
      for (const number of numbers) {
        socket.send(JSON.stringify(['message', 'room', payloadOf(3, number)]))
      }
    })
  })
  const audience = new Audience('ws-naive', (server.address() as AddressInfo).port)
  try {
    await audience.subscribe(await audience.join('reader'), ['room'])
    await until(
      () => audience.received === numbers.length,
      () => 'the messages',
    )
    return audience
  } finally {
    audience.close()
    for (const socket of server.clients) socket.terminate()
    server.close()
  }
}

test('messages that come once and in order are counted', async () => {
  const audience = await heard([1, 2, 3])
  expect(() => audience.check()).not.toThrow()
  expect(audience.received).toBe(3)
})

test.each([
  ['lost', [1, 3], 'message 3 of topic 3 came where 2 was due'],
  ['doubled', [1, 2, 2], 'message 2 of topic 3 came where 3 was due'],
  ['out of order', [2, 1], 'message 2 of topic 3 came where 1 was due'],
])('a message that is %s fails the run', async (_what, numbers, why) => {
  const audience = await heard(numbers)
  expect(() => audience.check()).toThrow(why)
})

test('a refused request fails the run', async () => {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await once(server, 'listening')
  server.on('connection', (socket) => {
    socket.on('message', () =>
      socket.send('["ack",1,{"status":"error","code":"permission_denied"}]'),
    )
  })
  const audience = new Audience('ws-naive', (server.address() as AddressInfo).port)
  try {
    const client = await audience.join('reader')
    await expect(audience.subscribe(client, ['room'])).rejects.toThrow(/permission_denied/)
  } finally {
    audience.close()
    for (const socket of server.clients) socket.terminate()
    server.close()
  }
})
