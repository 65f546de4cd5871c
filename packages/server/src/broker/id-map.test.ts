import fc from 'fast-check'
import { expect, test } from 'vitest'
import { IdMap } from './id-map.js'

test('[P4] finds what was added, and nothing else', () => {
  const idsOfMessages = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/)
  fc.assert(
    fc.property(fc.uniqueArray(idsOfMessages, { maxLength: 50 }), idsOfMessages, (ids, other) => {
      const map = new IdMap<number>()
      for (const [index, id] of ids.entries()) {
        expect(map.get(id)).toBeUndefined()
        map.add(id, index)
      }
      expect(map.size).toBe(ids.length)
      expect(ids.map((id) => map.get(id))).toEqual(ids.map((_, index) => index))
      const index = ids.indexOf(other)
      expect(map.get(other)).toBe(index < 0 ? undefined : index)
    }),
  )
})

test.each([
  ['counters', (number: number) => `message-${number}`],
  ['ids that end alike', (number: number) => `${number}-${'x'.repeat(20)}`],
])('[P4] finds all of 100,000: %s', (_what, idOf) => {
  const map = new IdMap<number>()
  for (let number = 0; number < 100_000; number += 1) map.add(idOf(number), number)
  expect(map.size).toBe(100_000)
  const numbers = Array.from({ length: 100_000 }, (_, number) => number)
  expect(numbers.filter((number) => map.get(idOf(number)) !== number)).toEqual([])
  expect(map.get('never added')).toBeUndefined()
})
