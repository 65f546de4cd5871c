import { hash } from 'node:crypto'
import { Writable } from 'node:stream'
import { seededRandom } from '@bmt-central/realtime-protocol/testing'
import * as webSockets from 'ws'
import { describe, expect, test } from 'vitest'
import { framesOf, type SizedText } from './frames.js'

/** What writes the frames of the WebSocket library: it is exported, but its types do not say so. */
const { Sender } = webSockets as unknown as {
  Sender: new (socket: Writable) => {
    send(data: string, how: { binary: boolean; mask: boolean; fin: boolean }): void
  }
}

/** The bytes that Engine.IO, with ws below it, sends for the same packets. */
function bytesOfWs(texts: readonly string[]): Buffer {
  const chunks: Buffer[] = []
  const socket = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      chunks.push(chunk)
      done()
    },
  })
  const sender = new Sender(socket)
  for (const text of texts) sender.send(`4${text}`, { binary: false, mask: false, fin: true })
  return Buffer.concat(chunks)
}

const sized = (text: string): SizedText => ({ text, bytes: Buffer.byteLength(text) })
/** So that a difference is shown in a line. */
const shown = (frames: Buffer): string =>
  `${frames.length} bytes from ${frames.toString('hex', 0, 16)}, ${hash('sha1', frames)}`
const ours = (...texts: string[]): string => shown(framesOf(texts.map(sized)))
const theirs = (...texts: string[]): string => shown(bytesOfWs(texts))

// One byte of each frame is Engine.IO's own, so the boundaries are one lower than in the RFC.
const LENGTHS = [0, 1, 123, 124, 125, 126, 127, 65_533, 65_534, 65_535, 65_536, 65_537, 200_000]
const ALPHABETS = {
  ASCII: 'a',
  umlauts: 'ä',
  'three bytes': '€',
  emoji: '😀',
  'lone surrogates': '\ud83d',
  'surrogates the wrong way round': '\ude00\ud83d',
  zeros: '\0',
  'line ends': '\u2028\r\n',
}

describe('[W1] frames are byte for byte those of ws', () => {
  test.each(LENGTHS)('at a length of %i', (length) => {
    expect(ours('x'.repeat(length))).toBe(theirs('x'.repeat(length)))
  })

  test.each(Object.entries(ALPHABETS))('of %s, around every boundary', (_name, letters) => {
    const bytes = Buffer.byteLength(letters)
    for (const length of LENGTHS) {
      const text = letters.repeat(Math.floor(length / bytes))
      const padded = text.padEnd(text.length + Math.max(0, length - Buffer.byteLength(text)), 'x')
      expect(Buffer.byteLength(padded)).toBe(length)
      expect(ours(padded)).toBe(theirs(padded))
    }
  })

  test('of many packets in one buffer', () => {
    const random = seededRandom(7)
    const letters = Object.values(ALPHABETS)
    const text = (): string => {
      const length = Math.floor(random() * (random() < 0.1 ? 70_000 : 300))
      const letter = letters[Math.floor(random() * letters.length)] ?? 'a'
      return letter.repeat(length / letter.length)
    }
    const texts = Array.from({ length: 300 }, text)
    expect(ours(...texts)).toBe(theirs(...texts))
  })

  test('of none', () => {
    expect(framesOf([])).toHaveLength(0)
  })
})

test('a wrong length is found before anything is sent', () => {
  expect(() => framesOf([{ text: 'ä', bytes: 3 }])).toThrow('frames of 6 bytes came to 5')
})
