import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  decodeBatchAck,
  decodeEventMessage,
  decodeHeartbeatAck,
  decodeHistoryPage,
  decodePublishAck,
  decodeSubscribeAck,
  decodeUnsubscribeAck,
} from './answers.js'
import { RealtimeError, toWireFailure } from './errors.js'

const message = {
  type: 'event',
  topic: 'a',
  id: 'm1',
  seq: 1,
  epoch: 'e',
  payload: { text: 'x' },
  timestamp: 5,
  from: 'alice',
}
const page = { topic: 'a', epoch: 'e', seq: 1, messages: [message], more: false }
const subscribeAck = { status: 'success', ...page, subscriberCount: 2, recovered: true }
const publishAck = {
  status: 'success',
  messageId: 'm1',
  topic: 'a',
  epoch: 'e',
  seq: 1,
  deliveredTo: 3,
  duplicate: false,
}
const gap = { from: 3, to: null, epoch: 'e', reason: 'expired' }

const DECODERS = {
  publish: [decodePublishAck, publishAck],
  subscribe: [decodeSubscribeAck, subscribeAck],
  history: [decodeHistoryPage, { status: 'success', ...page }],
  unsubscribe: [decodeUnsubscribeAck, { status: 'success', topic: 'a' }],
  heartbeat: [decodeHeartbeatAck, { status: 'success', timestamp: 1, serverTime: 2 }],
  batch: [(value: unknown) => decodeBatchAck(value, 0), { status: 'success', results: [] }],
} as const
const decoders = Object.entries(DECODERS)

function thrownBy(run: () => unknown): unknown {
  try {
    run()
    return null
  } catch (error) {
    return error
  }
}

const codeOf = (thrown: unknown): string =>
  thrown instanceof RealtimeError ? thrown.code : String(thrown)

describe('successes', () => {
  test('[W12] a publish acknowledgement, with and without windowMs', () => {
    expect(decodePublishAck({ ...publishAck, later: 1 })).toStrictEqual(publishAck)
    expect(decodePublishAck({ ...publishAck, windowMs: 9 })).toStrictEqual({
      ...publishAck,
      windowMs: 9,
    })
  })

  test('[W10] a subscribe acknowledgement, with and without gap', () => {
    expect(decodeSubscribeAck({ ...subscribeAck, later: 1 })).toStrictEqual(subscribeAck)
    expect(decodeSubscribeAck({ ...subscribeAck, recovered: false, gap })).toMatchObject({ gap })
  })

  test('[W10] a batch: each topic’s own answer, in order, refusals among them', () => {
    const refusal = toWireFailure(new RealtimeError('permission_denied', 'no'))
    const results = decodeBatchAck(
      { status: 'success', results: [subscribeAck, refusal, { status: 'odd' }] },
      3,
    )
    expect(results).toEqual([
      subscribeAck,
      expect.objectContaining({ code: 'permission_denied', message: 'no' }),
      expect.objectContaining({ code: 'invalid_message' }),
    ])
    expect(thrownBy(() => decodeBatchAck({ status: 'success', results: [] }, 1))).toMatchObject({
      code: 'invalid_message',
    })
  })

  test('[W11][W13][W15] unsubscribe, history and heartbeat', () => {
    expect(decodeUnsubscribeAck({ status: 'success', topic: 'a' })).toStrictEqual({
      status: 'success',
      topic: 'a',
    })
    expect(decodeHistoryPage({ status: 'success', ...page, gap })).toStrictEqual({ ...page, gap })
    expect(decodeHeartbeatAck({ status: 'success', timestamp: 1, serverTime: 2 })).toStrictEqual({
      status: 'success',
      timestamp: 1,
      serverTime: 2,
    })
  })

  test('[W21] a message: unknown fields go, `skipped` and a null `from` stay', () => {
    expect(decodeEventMessage({ ...message, later: 1 })).toStrictEqual(message)
    expect(decodeEventMessage({ ...message, from: null, skipped: 4 })).toStrictEqual({
      ...message,
      from: null,
      skipped: 4,
    })
  })
})

describe('refusals and nonsense', () => {
  test.each(decoders)('[W5] %s throws what the server refused it with', (_name, [decode]) => {
    const failure = {
      status: 'error',
      type: 'error',
      code: 'rate_limited',
      message: 'slower',
      retryable: true,
      retryAfterMs: 40,
      details: { limit: 'publishBurst' },
    }
    expect(thrownBy(() => decode(failure))).toMatchObject({
      code: 'rate_limited',
      message: 'slower',
      retryable: true,
      retryAfterMs: 40,
      details: { limit: 'publishBurst' },
    })
  })

  test.each(decoders)('[W5] %s refuses what has no status', (_name, [decode, valid]) => {
    for (const odd of [undefined, null, 7, 'ok', [], {}, { ...valid, status: 'fine' }]) {
      expect(thrownBy(() => decode(odd))).toMatchObject({ code: 'invalid_message' })
    }
  })

  test.each(decoders)('[W5] %s misses each field that it needs', (_name, [decode, valid]) => {
    expect(thrownBy(() => decode(valid))).toBeNull()
    const codes = Object.keys(valid).map((name) => {
      return [name, codeOf(thrownBy(() => decode({ ...valid, [name]: Symbol('wrong') })))]
    })
    expect(codes).toEqual(Object.keys(valid).map((name) => [name, 'invalid_message']))
  })

  test.each([
    [{ ...gap, reason: 'lost' }],
    [{ ...gap, from: -1 }],
    [{ ...gap, to: undefined }],
    [{ ...gap, epoch: null }],
    [null],
    ['expired'],
  ])('[W10] the gap %j is none', (odd) => {
    expect(thrownBy(() => decodeSubscribeAck({ ...subscribeAck, gap: odd }))).toMatchObject({
      code: 'invalid_message',
    })
  })

  test.each([
    [{ ...message, seq: 1.5 }],
    [{ ...message, seq: -1 }],
    [{ ...message, epoch: undefined }],
    [{ ...message, from: undefined }],
    [{ ...message, from: 7 }],
    [{ ...message, skipped: 0 }],
    [{ ...message, timestamp: 'now' }],
    [[message]],
  ])('[W21] %j is no message', (odd) => {
    expect(thrownBy(() => decodeEventMessage(odd))).toMatchObject({ code: 'invalid_message' })
    const ack = { ...subscribeAck, messages: [message, odd] }
    expect(thrownBy(() => decodeSubscribeAck(ack))).toMatchObject({ code: 'invalid_message' })
  })

  test('[W5] whatever a server sends, nothing but a RealtimeError comes of it', () => {
    const odd = fc.oneof(
      fc.anything(),
      fc.record(
        {
          status: fc.constantFrom('success', 'error', 'x'),
          code: fc.anything(),
          details: fc.anything(),
          results: fc.anything(),
          messages: fc.oneof(fc.anything(), fc.array(fc.anything())),
          gap: fc.anything(),
        },
        { requiredKeys: ['status'] },
      ),
    )
    fc.assert(
      fc.property(odd, (value) => {
        for (const [, [decode]] of decoders) {
          const thrown = thrownBy(() => decode(value))
          expect(thrown === null || thrown instanceof RealtimeError).toBe(true)
        }
      }),
      { numRuns: 1_000 },
    )
  })
})
