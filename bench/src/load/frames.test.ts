import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { WebSocketServer } from 'ws'
import { TurnOfFrames } from '../servers/turn-of-frames.js'
import { clientFrame, FrameReader, TEXT } from './frames.js'
import { RawConnection } from './raw-connection.js'

const TEXTS = ['a', 'x'.repeat(125), 'y'.repeat(126), 'z'.repeat(65_535), 'ü'.repeat(40_000), '']

/** The frames of a turn, as the joined server writes them. */
async function joined(texts: readonly string[]): Promise<Buffer> {
  return new Promise((resolve) => {
    const turn = new TurnOfFrames((_room, frames) => resolve(frames))
    for (const text of texts) turn.add('room', text)
  })
}

test('frames are read whole, wherever the bytes are cut', async () => {
  const texts = ['a', 'bb', 'x'.repeat(126), 'ü']
  const bytes = await joined(texts)
  for (let cut = 0; cut <= bytes.length; cut += 1) {
    const read: string[] = []
    const reader = new FrameReader((opcode, buffer, start, end) => {
      expect(opcode).toBe(TEXT)
      read.push(buffer.toString('utf8', start, end))
    })
    // What was read may be overwritten afterwards: all connections share one buffer.
    for (const part of [bytes.subarray(0, cut), bytes.subarray(cut)]) {
      const shared = Buffer.from(part)
      reader.read(shared)
      shared.fill(0)
    }
    expect(read).toEqual(texts)
  }
})

test('frames of all lengths are read', async () => {
  const read: string[] = []
  const reader = new FrameReader((_opcode, buffer, start, end) => {
    read.push(buffer.toString('utf8', start, end))
  })
  reader.read(await joined(TEXTS))
  expect(read).toEqual(TEXTS)
})

test('what a server of ws sends and gets is the same', async () => {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  try {
    await once(server, 'listening')
    server.on('connection', (socket) =>
      socket.on('message', (data, binary) => socket.send(data, { binary })),
    )
    const { port } = server.address() as AddressInfo
    const sent = TEXTS.filter((text) => Buffer.byteLength(text) <= 65_535)
    const echoed: string[] = []
    await new Promise<void>((resolve, reject) => {
      const connection = new RawConnection(
        port,
        '/',
        {
          onText: (buffer, start, end) => {
            echoed.push(buffer.toString('utf8', start, end))
            if (echoed.length === sent.length) resolve()
          },
          onReadEnd: () => undefined,
          onEnd: (why) => reject(new Error(why)),
        },
        () => {
          for (const text of sent) connection.send(clientFrame(text))
        },
      )
    })
    expect(echoed).toEqual(sent)
  } finally {
    for (const socket of server.clients) socket.terminate()
    server.close()
  }
})
