import { ERROR_CODES, RealtimeError, type ErrorCode } from '@bmt-central/realtime-protocol'
import { describe, expect, test } from 'vitest'
import { within } from '../until.js'
import { OF_REQUESTS, MORE_OF_REQUESTS } from './of-requests.js'
import { OF_THE_CLIENT } from './of-the-client.js'
import { OF_THE_CONNECTION } from './of-the-connection.js'
import type { Producer } from './producer.js'

/** Codes that nothing can produce yet, and what brings it. */
const LATER = {
  broker_unavailable: 'issue 2: a disk that is full',
  not_subscribed: 'a later issue: presence',
} as const

/** A way to each of the others: a code that is left out does not compile. */
const PRODUCERS: Record<Exclude<ErrorCode, keyof typeof LATER>, Producer> = {
  ...OF_THE_CONNECTION,
  ...OF_REQUESTS,
  ...OF_THE_CLIENT,
}

const ways = [...Object.entries<Producer>(PRODUCERS), ...Object.entries(MORE_OF_REQUESTS)].map(
  ([code, { title, run }]) => [`${title}: ${code}`, { code: code as ErrorCode, run }] as const,
)
const produced = new Set<string>()

describe('every error code', () => {
  test.each(ways)('%s', async (_, { code, run }) => {
    const error = await within(run(), `a ${code}`)
    produced.add(error.code)
    const { retryable, kind, help } = ERROR_CODES[code]
    expect(error).toBeInstanceOf(RealtimeError)
    expect(error).toMatchObject({ code, retryable, kind, help })
    expect(error.message).not.toBe('')
  })

  test('[W5] all of them but those of later issues were produced by the tests above', () => {
    const expected = Object.keys(ERROR_CODES).filter((code) => !(code in LATER))
    expect([...produced].sort()).toEqual(expected.sort())
    expect(Object.keys(LATER).filter((code) => !(code in ERROR_CODES))).toEqual([])
  })
})
