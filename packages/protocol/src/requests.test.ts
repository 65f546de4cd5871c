import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { RealtimeError } from './errors.js'
import {
  decodeHistoryQuery,
  decodeRequest,
  isRequestEvent,
  MAX_BATCH_TOPICS,
  REQUEST_EVENTS,
  requestMessageId,
} from './requests.js'

const since = { epoch: 'e1', seq: 4 }

const refused = (code: string): unknown => expect.objectContaining({ code })

function refusalOf(event: string, data: unknown): RealtimeError | null {
  try {
    decodeRequest(event, data)
    return null
  } catch (error) {
    if (error instanceof RealtimeError) return error
    throw error
  }
}

describe('what is understood', () => {
  test.each([
    ['[W10]', 'subscribe', { topic: 'a' }, { kind: 'subscribe', item: { topic: 'a' } }],
    [
      '[W10]',
      'subscribe',
      { topic: 'a', since },
      { kind: 'subscribe', item: { topic: 'a', since } },
    ],
    [
      '[W10]',
      'subscribe',
      { topic: 'a', rewind: 0 },
      { kind: 'subscribe', item: { topic: 'a', rewind: 0 } },
    ],
    [
      '[W10][T1]',
      'subscribe',
      { topic: 'cafe\u0301' },
      { kind: 'subscribe', item: { topic: 'caf\u00e9' } },
    ],
    ['[W11]', 'unsubscribe', { topic: 'a' }, { kind: 'unsubscribe', topic: 'a' }],
    [
      '[W12]',
      'publish',
      { topic: 'a', payload: null },
      { kind: 'publish', topic: 'a', payload: null },
    ],
    [
      '[W12]',
      'publish',
      { topic: 'a', payload: [1], messageId: 'm2', after: 'm1' },
      { kind: 'publish', topic: 'a', payload: [1], messageId: 'm2', after: 'm1' },
    ],
    ['[W13]', 'history', { topic: 'a' }, { kind: 'history', topic: 'a' }],
    [
      '[W13]',
      'history',
      { topic: 'a', since, before: 9, limit: 1 },
      { kind: 'history', topic: 'a', since, before: 9, limit: 1 },
    ],
    [
      '[W13]',
      'history',
      { topic: 'a', before: since },
      { kind: 'history', topic: 'a', before: since },
    ],
    ['[W15]', 'heartbeat', { timestamp: 1.5 }, { kind: 'heartbeat', timestamp: 1.5 }],
  ])('%s %s %j', (_rules, event, data, request) => {
    expect(decodeRequest(event, data)).toStrictEqual(request)
  })

  test.each(REQUEST_EVENTS.map((event) => [event] as const))(
    '[W8] %s returns its messageId, and unknown fields and `type` change nothing',
    (event) => {
      const data = { topic: 'a', payload: 1, timestamp: 1, messageId: 'id-1' }
      const extra = { type: event, later: { x: 1 }, ['__proto__']: 7 }
      const decoded = decodeRequest(event, { ...data, ...extra })
      expect(decoded).toStrictEqual(decodeRequest(event, data))
      expect(decoded.messageId).toBe('id-1')
    },
  )

  test('[W10] `rewind` is not even looked at where there is a `since`', () => {
    expect(decodeRequest('subscribe', { topic: 'a', since, rewind: 'no number' })).toStrictEqual({
      kind: 'subscribe',
      item: { topic: 'a', since },
    })
  })

  test('[W10] a batch is decoded entry by entry, in order; a refusal is alone and names its topic', () => {
    const request = decodeRequest('subscribe', {
      messageId: 'batch',
      topics: [
        { topic: 'a', since, messageId: 'm1' },
        { topic: 'b::c', messageId: 'm2' },
        { topic: 'cafe\u0301', since: { epoch: 'e1', seq: -1 } },
        { topic: 7, messageId: 'not an id!' },
        'd',
        null,
        { topic: 'e', rewind: 3 },
      ],
    })
    expect(request).toMatchObject({ kind: 'subscribe_batch', messageId: 'batch' })
    expect('items' in request ? request.items : []).toEqual([
      { topic: 'a', since, messageId: 'm1' },
      { topic: 'b::c', messageId: 'm2', error: refused('invalid_topic') },
      { topic: 'caf\u00e9', error: refused('invalid_message') },
      { error: refused('invalid_message') },
      { error: refused('invalid_message') },
      { error: refused('invalid_message') },
      { topic: 'e', rewind: 3 },
    ])
  })

  test('[W10] a batch has 1 to 100 topics', () => {
    const topics = (count: number) => ({
      topics: Array.from({ length: count }, (_, index) => ({ topic: `t${index}` })),
    })
    expect(refusalOf('subscribe', topics(MAX_BATCH_TOPICS))).toBeNull()
    expect(refusalOf('subscribe', topics(0))?.code).toBe('invalid_message')
    expect(refusalOf('subscribe', topics(MAX_BATCH_TOPICS + 1))?.message).toMatch(/got 101/)
    expect(refusalOf('subscribe', { topics: { topic: 'a' } })?.code).toBe('invalid_message')
  })
})

describe('what is refused', () => {
  test.each([
    ['[W7]', 'presence', {}],
    ['[W7]', 'refresh', { token: 'x' }],
    ['[W7]', '__proto__', {}],
    ['[W7]', 'toString', {}],
    ['[W8]', 'subscribe', undefined],
    ['[W8]', 'subscribe', null],
    ['[W8]', 'subscribe', 'a'],
    ['[W8]', 'subscribe', ['a']],
    ['[W8]', 'publish', { topic: 'a', payload: 1, messageId: '' }],
    ['[W8]', 'publish', { topic: 'a', payload: 1, messageId: 'a b' }],
    ['[W8]', 'publish', { topic: 'a', payload: 1, messageId: 'x'.repeat(65) }],
    ['[W8]', 'publish', { topic: 'a', payload: 1, messageId: null }],
    ['[W8]', 'heartbeat', { timestamp: 1, messageId: 7 }],
    ['[W10]', 'subscribe', {}],
    ['[W10]', 'subscribe', { topic: 7 }],
    ['[W10]', 'subscribe', { topic: 'a', since: null }],
    ['[W10]', 'subscribe', { topic: 'a', since: 4 }],
    ['[W10]', 'subscribe', { topic: 'a', since: { seq: 4 } }],
    ['[W10]', 'subscribe', { topic: 'a', since: { epoch: 7, seq: 4 } }],
    ['[W10]', 'subscribe', { topic: 'a', since: { epoch: 'x'.repeat(129), seq: 4 } }],
    ['[W10]', 'subscribe', { topic: 'a', since: { epoch: 'e', seq: -1 } }],
    ['[W10]', 'subscribe', { topic: 'a', since: { epoch: 'e', seq: 1.5 } }],
    ['[W10]', 'subscribe', { topic: 'a', since: { epoch: 'e', seq: '4' } }],
    ['[W10]', 'subscribe', { topic: 'a', since: { epoch: 'e', seq: 2 ** 53 } }],
    ['[W10]', 'subscribe', { topic: 'a', since: { epoch: 'e', seq: NaN } }],
    ['[W10]', 'subscribe', { topic: 'a', rewind: -1 }],
    ['[W10]', 'subscribe', { topic: 'a', rewind: '5' }],
    ['[W11]', 'unsubscribe', { topics: ['a'] }],
    ['[W12]', 'publish', { topic: 'a' }],
    ['[W12]', 'publish', { topic: 'a', payload: undefined }],
    ['[W12]', 'publish', { topic: 'a', payload: 1, after: '' }],
    ['[W12]', 'publish', { topic: 'a', payload: 1, after: { id: 'x' } }],
    ['[W13]', 'history', { topic: 'a', limit: 0 }],
    ['[W13]', 'history', { topic: 'a', limit: -3 }],
    ['[W13]', 'history', { topic: 'a', limit: 1.5 }],
    ['[W13]', 'history', { topic: 'a', limit: '10' }],
    ['[W13]', 'history', { topic: 'a', before: -1 }],
    ['[W13]', 'history', { topic: 'a', before: '9' }],
    ['[W13]', 'history', { topic: 'a', before: { epoch: 'e' } }],
    ['[W13]', 'history', { topic: 'a', since: {} }],
    ['[W15]', 'heartbeat', {}],
    ['[W15]', 'heartbeat', { timestamp: 'now' }],
    ['[W15]', 'heartbeat', { timestamp: Infinity }],
  ])('%s %s %j is invalid_message', (_rules, event, data) => {
    expect(refusalOf(event, data)?.code).toBe('invalid_message')
  })

  test.each(['subscribe', 'unsubscribe', 'publish', 'history'])(
    '[T1] %s of a text that is no topic is invalid_topic',
    (event) => {
      expect(refusalOf(event, { topic: 'a::b', payload: 1 })?.code).toBe('invalid_topic')
    },
  )

  test('[W5] messages name the kind of a wrong value, never its content', () => {
    const secret = 'secret-token-value'
    for (const event of REQUEST_EVENTS) {
      for (const name of [
        'since',
        'before',
        'limit',
        'rewind',
        'timestamp',
        'messageId',
        'after',
      ]) {
        const refusal = refusalOf(event, { topic: 'a', payload: 1, [name]: `${secret}!` })
        expect(refusal?.message ?? '').not.toContain(secret)
      }
    }
  })

  test('[W8] a list is no object, and the refusal says so', () => {
    expect(refusalOf('subscribe', ['a'])?.message).toBe(
      'the data of subscribe must be an object, got an array',
    )
  })

  test('[W7] a long unknown event is not sent back whole', () => {
    expect(refusalOf('x'.repeat(100_000), {})?.message.length).toBeLessThan(200)
  })
})

describe('messageId of a refusal', () => {
  test('[W8] is found also where the request could not be decoded', () => {
    expect(requestMessageId({ messageId: 'm1', topic: 7 })).toBe('m1')
  })

  test.each([[undefined], [null], ['m1'], [['m1']], [{ messageId: 7 }], [{ messageId: 'a b' }]])(
    '[W8] is absent for %j',
    (data) => {
      expect(requestMessageId(data)).toBeUndefined()
    },
  )
})

describe('anything at all', () => {
  const anything = fc.anything({ withNullPrototype: true, withBigInt: true, withDate: true })
  const names = ['topic', 'topics', 'since', 'rewind', 'payload', 'messageId', 'after', 'before']
  const half = fc.dictionary(
    fc.constantFrom(...names, 'limit', 'timestamp', 'type', '__proto__', 'constructor'),
    fc.oneof(
      anything,
      fc.constantFrom('a', 'a::b', 7, since, [{ topic: 'a' }], [{ topic: 'a', since }]),
    ),
  )

  test('[W7][W8] never throws anything but a RealtimeError that is the sender’s fault', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.constantFrom(...REQUEST_EVENTS), fc.string()),
        fc.oneof(anything, half),
        (event, data) => {
          const refusal = refusalOf(event, data)
          expect(['invalid_message', 'invalid_topic', undefined]).toContain(refusal?.code)
          expect(isRequestEvent(event) || refusal !== null).toBe(true)
        },
      ),
      { numRuns: 2_000 },
    )
  })

  test('[W8] unknown fields never change what is understood', () => {
    const known = new Set([...names, 'limit', 'timestamp'])
    const unknown = fc.dictionary(
      fc.string().filter((name) => !known.has(name)),
      anything,
    )
    fc.assert(
      fc.property(fc.constantFrom(...REQUEST_EVENTS), unknown, (event, extra) => {
        const data = { topic: 'a', payload: 1, timestamp: 1 }
        expect(decodeRequest(event, { ...extra, ...data })).toStrictEqual(
          decodeRequest(event, data),
        )
      }),
    )
  })

  test('[W7] keys that reach for prototypes are harmless', () => {
    const data = JSON.parse(
      '{"topic":"a","payload":{"__proto__":{"polluted":1}},"__proto__":{"messageId":"stolen","polluted":1},"constructor":{"prototype":{"polluted":1}}}',
    ) as unknown
    const request = decodeRequest('publish', data)
    expect(Object.keys(request).sort()).toEqual(['kind', 'payload', 'topic'])
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
    expect(requestMessageId(data)).toBeUndefined()
  })
})

test('[W13] a query may stand alone, as the server’s own history has it', () => {
  expect(decodeHistoryQuery({})).toStrictEqual({})
  expect(decodeHistoryQuery({ limit: 10, before: 0 })).toStrictEqual({ limit: 10, before: 0 })
  expect(() => decodeHistoryQuery({ limit: 0 })).toThrow(/limit must be a whole number/)
})
