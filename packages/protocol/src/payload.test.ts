import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { RealtimeError } from './errors.js'
import { decodePayload, encodePayload, MAX_BINARY_PARTS, utf8Length } from './payload.js'

const limits = { maxDepth: 64, binary: false }
const binary = { maxDepth: 64, binary: true }
const nested = (levels: number): unknown =>
  Array.from({ length: levels }).reduce<unknown>((inner, _, index) => {
    return index % 2 === 0 ? [inner] : { inner }
  }, 1)
const again = (payload: unknown) => decodePayload(encodePayload(payload, limits))

function refusalOf(payload: unknown, within = limits): RealtimeError | null {
  try {
    encodePayload(payload, within)
    return null
  } catch (error) {
    if (error instanceof RealtimeError) return error
    throw error
  }
}

describe('JSON values', () => {
  test('[P4] any JSON value comes back as it was, and is encoded as JSON is', () => {
    fc.assert(
      fc.property(fc.jsonValue({ noUnicodeString: false }), (value) => {
        const { json, parts } = encodePayload(value, limits)
        expect(json).toBe(JSON.stringify(value))
        expect(parts).toEqual([])
        expect(decodePayload({ json, parts })).toEqual(JSON.parse(JSON.stringify(value)))
      }),
    )
  })

  test('[P4] what the caller changes later changes nothing', () => {
    const payload = { list: [1] }
    const encoded = encodePayload(payload, limits)
    payload.list.push(2)
    expect(decodePayload(encoded)).toEqual({ list: [1] })
  })

  test('[P7] an own key __proto__ stays a key', () => {
    const hostile: unknown = JSON.parse('{"__proto__":{"admin":true},"a":1}')
    expect(encodePayload(hostile, limits).json).toBe('{"__proto__":{"admin":true},"a":1}')
    const decoded = again(hostile) as Record<string, unknown>
    expect(Object.keys(decoded)).toEqual(['__proto__', 'a'])
    expect(decoded['admin']).toBeUndefined()
    expect(({} as Record<string, unknown>)['admin']).toBeUndefined()
  })

  test('[P4] dates and other objects with toJSON are what they say they are', () => {
    const at = new Date(0)
    expect(again({ at })).toEqual({ at: '1970-01-01T00:00:00.000Z' })
    expect(again({ a: { toJSON: () => ({ b: 1 }) } })).toEqual({ a: { b: 1 } })
    expect(again({ a: undefined, b: [undefined], c: NaN })).toEqual({ b: [null], c: null })
  })

  test.each([
    ['nothing', undefined],
    ['a function', () => 1],
    ['a symbol', Symbol('x')],
    ['a bigint', { n: 10n }],
    ['a toJSON that gives nothing', { toJSON: () => undefined }],
    ['a toJSON that throws', { a: { toJSON: () => expect.fail('inside') } }],
    [
      'a getter that throws',
      {
        get a() {
          throw new Error('inside')
        },
      },
    ],
  ])('[P4] %s is validation_failed', (_what, payload) => {
    expect(refusalOf(payload)?.code).toBe('validation_failed')
    expect(refusalOf(payload)?.message).not.toContain('inside')
  })

  test('[P4] a cycle is validation_failed, the same object twice is not', () => {
    const cycle: Record<string, unknown> = {}
    cycle['a'] = { b: [cycle] }
    expect(refusalOf(cycle)).toMatchObject({
      code: 'validation_failed',
      message: 'the payload contains itself',
    })
    const shared = { x: 1 }
    expect(again([shared, { shared }])).toEqual([{ x: 1 }, { shared: { x: 1 } }])
    const late = { toJSON: () => ({ late }) }
    expect(refusalOf({ late })?.code).toBe('validation_failed')
  })
})

describe('depth', () => {
  test('[L5] a scalar is 0, each array or object 1 more; 64 pass, 65 do not', () => {
    expect(refusalOf(1, { maxDepth: 0, binary: false })).toBeNull()
    expect(refusalOf([], { maxDepth: 0, binary: false })?.code).toBe('invalid_message')
    expect(refusalOf(nested(64))).toBeNull()
    expect(refusalOf(nested(65))).toMatchObject({
      code: 'invalid_message',
      message: 'the payload is nested deeper than 64 levels',
    })
  })

  test('[L5] levels that toJSON makes count, too; what it turns into a scalar does not', () => {
    const two = { maxDepth: 2, binary: true }
    expect(refusalOf({ a: { toJSON: () => [1] } }, two)).toBeNull()
    expect(refusalOf({ a: { toJSON: () => [[1]] } }, two)?.code).toBe('invalid_message')
    expect(refusalOf({ a: [new Date(0)] }, two)).toBeNull()
    expect(refusalOf({ a: [new Uint8Array(1)] }, two)).toBeNull()
  })

  test('[L5] 100,000 levels cost no stack', () => {
    expect(refusalOf(nested(100_000))?.code).toBe('invalid_message')
  })
})

describe('bytes', () => {
  test('[P4] without binary: true they are validation_failed, wherever they stand', () => {
    for (const bytes of [
      new Uint8Array(2),
      Buffer.from('x'),
      new ArrayBuffer(2),
      new DataView(new ArrayBuffer(2)),
    ]) {
      expect(refusalOf(bytes)?.message).toMatch(/binary: true/)
      expect(refusalOf({ a: [bytes] })?.code).toBe('validation_failed')
      expect(refusalOf({ a: { toJSON: () => ({ bytes }) } })?.code).toBe('validation_failed')
    }
    expect(refusalOf({ file: new Blob(['x']) }, binary)?.message).toMatch(/Blob/)
  })

  test('[P4] with it they come back as they were, in their places', () => {
    const payload = {
      a: new Uint8Array([1, 2]),
      b: [{ c: Buffer.from([3]) }, new Uint8Array([9, 4, 5, 9]).subarray(1, 3)],
      d: { toJSON: () => ({ e: new Uint8Array([6]) }) },
      f: new Uint8Array([7]),
    }
    const encoded = encodePayload(payload, binary)
    expect(encoded.parts.map((part) => Array.from(part))).toEqual([[1, 2], [3], [4, 5], [6], [7]])
    expect(decodePayload(encoded)).toEqual({
      a: new Uint8Array([1, 2]),
      b: [{ c: new Uint8Array([3]) }, new Uint8Array([4, 5])],
      d: { e: new Uint8Array([6]) },
      f: new Uint8Array([7]),
    })
  })

  test('[P4] they are copies, also of a Buffer, whose own slice shares its memory', () => {
    const parts = [new Uint8Array([1]), Buffer.from([2]), new Uint8Array([3]).buffer]
    const encoded = encodePayload(parts, binary)
    for (const part of parts)
      new Uint8Array(part instanceof ArrayBuffer ? part : part.buffer).fill(9)
    expect(encoded.parts.map((part) => part[0])).toEqual([1, 2, 3])
  })

  test('[P4] at most 10 of them', () => {
    const parts = (count: number) => Array.from({ length: count }, () => new Uint8Array(1))
    expect(refusalOf(parts(MAX_BINARY_PARTS), binary)).toBeNull()
    expect(refusalOf(parts(MAX_BINARY_PARTS + 1), binary)).toMatchObject({
      code: 'validation_failed',
      message: 'the payload has 11 binary parts, at most 10 are possible',
    })
  })

  test.each([
    ['at the top', { _placeholder: true, num: 0 }],
    ['inside', { a: [{ _placeholder: true }] }],
    ['out of toJSON', { a: { toJSON: () => ({ _placeholder: true, num: 0 }) } }],
    [
      'beside real bytes',
      { a: new Uint8Array(1), b: { toJSON: () => ({ _placeholder: true, num: 0 }) } },
    ],
  ])('[P4] a foreign placeholder %s is validation_failed', (_where, payload) => {
    expect(refusalOf(payload, binary)?.message).toMatch(/_placeholder: true/)
  })

  test('[P4] only the value true makes a placeholder', () => {
    for (const value of [false, 1, 'true', null]) {
      expect(again({ _placeholder: value, num: 0 })).toEqual({ _placeholder: value, num: 0 })
    }
  })
})

describe('utf8Length', () => {
  test('[L5] is what an encoder makes of any string, lone surrogates included', () => {
    const encoder = new TextEncoder()
    const units = fc.array(fc.integer({ min: 0, max: 0xffff })).map((codes) => {
      return String.fromCharCode(...codes)
    })
    const surrogates = fc
      .array(fc.constantFrom('\ud83d', '\ude00', 'a', '\u00e9', '\u4e2d'))
      .map((pieces) => pieces.join(''))
    fc.assert(
      fc.property(fc.oneof(units, surrogates, fc.string({ unit: 'binary' })), (text) => {
        expect(utf8Length(text)).toBe(encoder.encode(text).length)
      }),
      { numRuns: 1_000 },
    )
  })

  test('[L5] a lone surrogate in a payload is escaped by JSON, and survives', () => {
    const { json } = encodePayload('\ud800', limits)
    expect(json).toBe('"\\ud800"')
    expect(utf8Length(json)).toBe(8)
    expect(again('\ud800')).toBe('\ud800')
  })
})
