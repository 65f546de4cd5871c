import { expect } from 'vitest'
import type { Fields } from './plain-client.js'

const text = (): unknown => expect.any(String)
const number = (): unknown => expect.any(Number)

/** A failed acknowledgement is exactly this [W5]. */
export function expectRefusal(
  ack: Fields | undefined,
  code: string,
  more: { retryable?: boolean; messageId?: string; topic?: string } = {},
): void {
  const { details, retryAfterMs, ...rest } = ack ?? {}
  expect(rest).toStrictEqual({
    status: 'error',
    type: 'error',
    code,
    message: text(),
    retryable: false,
    ...more,
  })
  expect(String(rest['message']).length).toBeGreaterThan(0)
  expect(['undefined', 'number']).toContain(typeof retryAfterMs)
  expect(['undefined', 'object']).toContain(typeof details)
}

/** The acknowledgement of a subscribe is exactly this [W10]. */
export function expectSubscribed(
  ack: Fields | undefined,
  expected: {
    topic: string
    seq: number
    seqs: readonly number[]
    recovered?: boolean
    more?: boolean
    gap?: object
    subscriberCount?: number
    messageId?: string
  },
): void {
  const { seqs, ...rest } = expected
  const { messages, ...fields } = ack ?? {}
  expect(fields).toStrictEqual({
    status: 'success',
    epoch: text(),
    subscriberCount: 1,
    recovered: false,
    more: false,
    ...rest,
  })
  expect(seqsOf(messages)).toEqual(seqs)
}

/** The acknowledgement of a publish is exactly this [W12]. */
export function expectPublished(
  ack: Fields | undefined,
  expected: {
    topic: string
    messageId?: string
    seq: number
    deliveredTo?: number
    duplicate?: boolean
  },
): void {
  const { windowMs, ...fields } = ack ?? {}
  expect(fields).toStrictEqual({
    status: 'success',
    messageId: expect.stringMatching(/^[A-Za-z0-9_-]{1,64}$/) as unknown,
    epoch: text(),
    deliveredTo: 0,
    duplicate: false,
    ...expected,
  })
  expect(['undefined', 'number']).toContain(typeof windowMs)
}

/** A publication as subscribers get it is exactly this [W21]. */
export function expectMessage(
  message: Fields | undefined,
  expected: {
    topic: string
    id: string
    seq: number
    epoch: string
    payload: unknown
    from: string | null
  },
): void {
  expect(message).toStrictEqual({ type: 'event', timestamp: number(), ...expected })
}

/** The positions of a list of publications. */
export function seqsOf(messages: unknown): unknown[] {
  return Array.isArray(messages) ? messages.map((message: Fields) => message['seq']) : []
}

/** Whole numbers, both ends included. */
export function range(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from + 1) }, (_, index) => from + index)
}
