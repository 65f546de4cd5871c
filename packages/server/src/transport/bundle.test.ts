import { seededRandom } from '@bmt-central/realtime-protocol/testing'
import { describe, expect, test } from 'vitest'
import { Bundle } from './bundle.js'
import { framesOf } from './frames.js'
import { parcelOf } from './packets.js'
import type { Parcel } from './parcel.js'

const KIB = 1_024

/** A parcel of so many bytes that begins with a name. */
function sized(name: string, bytes: number): Parcel {
  return parcelOf(name.padEnd(bytes, '.'))
}

function named(...names: string[]): Bundle {
  return Bundle.of(names.map((name) => parcelOf(name)))
}

const namesOf = ({ parcels }: Bundle): string[] =>
  parcels.map(({ text }) => text.replace(/\.+$/u, ''))

/** Its buffer says the same as its parcels, and its size is theirs. */
function expectWhole(bundle: Bundle): void {
  expect(bundle.frames.equals(framesOf(bundle.parcels))).toBe(true)
  expect(bundle.bytes).toBe(bundle.parcels.reduce((sum, { bytes }) => sum + bytes, 0))
}

describe('Bundle', () => {
  test('[P7] its frames are made once', () => {
    const bundle = named('a', 'b')
    expect(bundle.frames).toBe(bundle.frames)
    expectWhole(bundle)
  })

  test('[P1] joined ones follow each other, and the same two are joined once', () => {
    const [first, second, third] = [named('a1', 'a2'), named('b'), named('c1', 'c2')]
    const joined = first.with(second)
    expect(first.with(second)).toBe(joined)
    expect(joined.with(third)).toBe(first.with(second).with(third))
    expect(namesOf(joined.with(third))).toEqual(['a1', 'a2', 'b', 'c1', 'c2'])
    expectWhole(joined.with(third))
    // The other order is another one.
    expect(namesOf(second.with(first))).toEqual(['b', 'a1', 'a2'])
    expect(namesOf(joined)).toEqual(['a1', 'a2', 'b'])
  })

  test('[P2] a tail has what comes from an index on, and is made once', () => {
    const bundle = named('a', 'b', 'c')
    expect(bundle.from(0)).toBe(bundle)
    expect(bundle.from(2)).toBe(bundle.from(2))
    expect([1, 2].map((index) => namesOf(bundle.from(index)))).toEqual([['b', 'c'], ['c']])
    expectWhole(bundle.from(1))
    expect(namesOf(named('x').with(bundle).from(2))).toEqual(['b', 'c'])
  })

  test('[P10] parts are at most so large; a larger parcel goes alone', () => {
    const bundle = Bundle.of([
      sized('a', 40 * KIB),
      sized('b', 24 * KIB),
      sized('c', 1),
      sized('d', 200 * KIB),
      sized('e', 1),
    ])
    const parts = bundle.parts(64 * KIB)
    expect(parts.map(namesOf)).toEqual([['a', 'b'], ['c'], ['d'], ['e']])
    expect(bundle.parts(64 * KIB)).toBe(parts)
    expect(named('a').parts(64 * KIB)).toHaveLength(1)
  })

  test('[L8] whether it may be replaced is what its channel says', () => {
    const replaceable = Bundle.of([{ ...parcelOf('a'), topic: 'a', conflate: true }])
    expect([replaceable.conflates, named('a').conflates]).toEqual([true, false])
  })

  test.each([1, 2, 3])('[P1][P2] whatever is done to it, nothing is lost (seed %i)', (seed) => {
    const random = seededRandom(seed)
    const below = (most: number): number => Math.floor(random() * most)
    let made = 0
    const fresh = (): Bundle =>
      Bundle.of(Array.from({ length: 1 + below(4) }, () => sized(`m${(made += 1)}`, below(200))))
    const known = Array.from({ length: 5 }, fresh)
    for (let step = 0; step < 120; step += 1) {
      const bundle = known[below(known.length)] ?? fresh()
      const names = namesOf(bundle)
      const next = fresh()
      const joined = bundle.with(next)
      expect(namesOf(joined)).toEqual([...names, ...namesOf(next)])
      const index = below(names.length)
      const tail = bundle.from(index)
      expect(namesOf(tail)).toEqual(names.slice(index))
      const parts = bundle.parts(300)
      expect(parts.flatMap(namesOf)).toEqual(names)
      expect(parts.every(({ bytes, parcels }) => bytes <= 300 || parcels.length === 1)).toBe(true)
      for (const one of [joined, tail, ...parts]) expectWhole(one)
      known[below(known.length)] = joined.parcels.length > 60 ? fresh() : joined
      expectWhole(bundle)
    }
  })
})
