import { expect, test } from 'vitest'
import { KeyFinder, keyOf, payloadOf, payloadText } from './key.js'

test('the text of a payload is its JSON, always of the same length', () => {
  expect(JSON.parse(payloadText(7, 12))).toEqual(payloadOf(7, 12))
  expect(payloadText(99_999, 999_999_999)).toHaveLength(payloadText(0, 1).length)
  expect(keyOf(payloadOf(42, 1_234).k)).toEqual({ topic: 42, number: 1_234 })
})

test('keys are found in frames of all shapes, also of one length with the key elsewhere', () => {
  const finder = new KeyFinder()
  const frames = [
    `42["message",{"topic":"bench:1","payload":${payloadText(1, 5)},"seq":9}]`,
    `42["message",{"topic":"bench:1","payload":${payloadText(1, 6)},"seq":10}]`,
    `42["message",{"seq":9,"topic":"bench:1","payload":${payloadText(1, 7)}}]`,
    `42["message",{"topic":"bench:1","payload":${payloadText(1, 8)},"seq":9}]`,
  ]
  const found = frames.map((text) => {
    const buffer = Buffer.from(`--${text}--`)
    return { ...finder.find(buffer, 2, buffer.length - 2) }
  })
  expect(found).toEqual([5, 6, 7, 8].map((number) => ({ topic: 1, number })))
})

test('a message without a key is refused', () => {
  const buffer = Buffer.from('42["message",{}]')
  expect(() => new KeyFinder().find(buffer, 0, buffer.length)).toThrow(/without a key/)
})
