import { describe, expect, test } from 'vitest'
import {
  dayOf,
  durationOf,
  initialsOf,
  linkParts,
  mebibytesOf,
  millisecondsOf,
  secondsUntil,
  shareOf,
} from './format.js'
import { wordsOf } from './i18n/words.js'

const words = wordsOf('en')

describe('links', () => {
  test('addresses become links, their surroundings do not', () => {
    expect(linkParts('see https://a.example/x?y=1, and (http://b.example).')).toEqual([
      { text: 'see ' },
      { text: 'https://a.example/x?y=1', href: 'https://a.example/x?y=1' },
      { text: ', and (' },
      { text: 'http://b.example', href: 'http://b.example/' },
      { text: ').' },
    ])
  })

  test.each([
    'javascript:alert(1)',
    'data:text/html,x',
    '//a.example',
    'www.a.example',
    'https://',
  ])('%s is text', (text) => {
    expect(linkParts(text)).toEqual([{ text }])
  })

  test('a Chinese sentence ends a link', () => {
    expect(linkParts('看 https://a.example/路，好')[1]?.text).toBe('https://a.example/路')
  })
})

test('days are named where they are near', () => {
  const now = new Date(2026, 2, 1, 9).getTime()
  expect(dayOf(new Date(2026, 2, 1, 0, 1).getTime(), now, words)).toBe('Today')
  expect(dayOf(new Date(2026, 1, 28, 23).getTime(), now, words)).toBe('Yesterday')
  expect(dayOf(new Date(2026, 1, 27).getTime(), now, words)).toContain('27 February 2026')
})

test('figures have units and a sensible precision', () => {
  expect(durationOf(59_999, words)).toBe('59 s')
  expect(durationOf(61_000, words)).toBe('1 min')
  expect(durationOf(5_400_000, words)).toBe('1.5 h')
  expect(millisecondsOf(1.26, words)).toBe('1.3 ms')
  expect(millisecondsOf(12.6, words)).toBe('13 ms')
  expect(mebibytesOf(64 * 2 ** 20, words)).toBe('64 MiB')
  expect(shareOf(0.0123, words)).toBe('1.2%')
  expect(shareOf(0.5, words)).toBe('50%')
})

test('a countdown shows whole seconds and ends at 0', () => {
  expect(secondsUntil(2_500, 1_000)).toBe(2)
  expect(secondsUntil(500, 1_000)).toBe(0)
})

test('a name is stood for by whole characters', () => {
  expect(initialsOf('brave otter')).toBe('BO')
  expect(initialsOf('勇敢的水獭')).toBe('勇')
  expect(initialsOf('𝒜da')).toBe('𝒜')
  expect(initialsOf('')).toBe('?')
})
