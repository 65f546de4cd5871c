import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  ERROR_CODES,
  fromWireFailure,
  isErrorCode,
  RealtimeError,
  toWireFailure,
  type ErrorCode,
  type ErrorSpec,
} from './errors.js'

const codes = Object.keys(ERROR_CODES) as ErrorCode[]
const specOf = (code: ErrorCode): ErrorSpec => ERROR_CODES[code]
const document = (name: string): string =>
  readFileSync(new URL(`../../../docs/${name}`, import.meta.url), 'utf8')

/** The codes of one row of the contract's table of errors. */
function rowOf(title: string): string[] {
  const row = document('contract.md')
    .split('\n')
    .find((line) => line.startsWith(`| ${title} |`))
  return Array.from((row ?? '').matchAll(/`([a-z_]+)`/g), ([, code]) => code ?? '')
}

const where = (scope: ErrorSpec['scope'], retryable?: boolean): string[] =>
  codes.filter((code) => {
    const spec = specOf(code)
    return spec.scope === scope && (retryable === undefined || spec.retryable === retryable)
  })

describe('the table of codes', () => {
  test.each([
    ['end the connection, retryable', where('connection', true)],
    ['end the connection, final', where('connection', false)],
    ['request, retryable', where('request', true)],
    ['request, final', where('request', false)],
    ['client only', where('client')],
  ])('[W5] is the contract’s: %s', (title, listed) => {
    const row = rowOf(title)
    expect(row.length).toBeGreaterThan(2)
    expect([...listed].sort()).toEqual([...row].sort())
  })

  test('[W5] of the client’s own, not_connected and queue_overflow are retryable', () => {
    expect(where('client', true).sort()).toEqual(['not_connected', 'queue_overflow'])
  })

  test('[W5] each code has the original’s kind', () => {
    const ofKind = (kind: string) => codes.filter((code) => specOf(code).kind === kind).sort()
    expect(ofKind('authentication')).toEqual(
      ['permission_denied', 'token_expired', 'unauthenticated'].sort(),
    )
    expect(ofKind('system')).toEqual(['broker_unavailable', 'internal_error', 'publish_failed'])
    expect(ofKind('connection')).toEqual(
      [
        'kicked',
        'not_connected',
        'protocol_unsupported',
        'server_closing',
        'slow_consumer',
        'stale',
        'too_many_connections',
      ].sort(),
    )
    expect(ofKind('message').length + 3 + 3 + 7).toBe(codes.length)
  })

  test('[W5] docs/errors.md has one heading for each code, and no other', () => {
    const headings = Array.from(
      document('errors.md').matchAll(/^#{2,4} `?([a-z]+(?:_[a-z]+)*)`?\s*$/gm),
      ([, code]) => code ?? '',
    ).filter((heading) => heading.includes('_') || isErrorCode(heading))
    expect([...headings].sort()).toEqual([...codes].sort())
  })

  test.each(codes)('[W5] %s says what to do, in one line', (code) => {
    expect(specOf(code).help).toMatch(/^[A-Z][^\n]{20,120}\.$/)
  })
})

describe('RealtimeError', () => {
  test.each(codes)('[W5] %s knows its kind, its help and whether to retry', (code) => {
    const error = new RealtimeError(code, 'what happened')
    expect(error).toBeInstanceOf(Error)
    expect([
      error.name,
      error.code,
      error.message,
      error.retryable,
      error.kind,
      error.help,
    ]).toEqual([
      'RealtimeError',
      code,
      'what happened',
      specOf(code).retryable,
      specOf(code).kind,
      specOf(code).help,
    ])
    expect('retryAfterMs' in error || 'details' in error || 'cause' in error).toBe(false)
  })

  test('[W5] options win over the table; the cause is kept', () => {
    const cause = new Error('inside')
    const error = new RealtimeError('timeout', 'late', {
      retryable: true,
      retryAfterMs: 0,
      details: { outcome: 'unknown' },
      cause,
    })
    expect(error).toMatchObject({
      retryable: true,
      retryAfterMs: 0,
      details: { outcome: 'unknown' },
    })
    expect(error.cause).toBe(cause)
  })

  test.each([['toString'], ['__proto__'], [''], [7], [null], [undefined]])(
    '[W5] %j is no code',
    (value) => {
      expect(isErrorCode(value)).toBe(false)
    },
  )
})

describe('toWireFailure', () => {
  test('[W5] has exactly the fields of a failed acknowledgement', () => {
    expect(toWireFailure(new RealtimeError('invalid_topic', 'no'))).toStrictEqual({
      status: 'error',
      type: 'error',
      code: 'invalid_topic',
      message: 'no',
      retryable: false,
    })
    const full = new RealtimeError('rate_limited', 'slower', { retryAfterMs: 5, details: { a: 1 } })
    expect(toWireFailure(full, 'm1')).toStrictEqual({
      status: 'error',
      type: 'error',
      code: 'rate_limited',
      message: 'slower',
      retryable: true,
      retryAfterMs: 5,
      details: { a: 1 },
      messageId: 'm1',
    })
  })

  test.each([
    [new Error('connect ECONNREFUSED db.internal:5432')],
    [new TypeError('db.internal')],
    ['db.internal'],
    [{ code: 'kicked', message: 'db.internal' }],
    [undefined],
    [null],
  ])('[P7] what is no RealtimeError leaks nothing (%#)', (error) => {
    const failure = toWireFailure(error)
    expect(failure).toMatchObject({ code: 'internal_error', retryable: true })
    expect(JSON.stringify(failure)).not.toContain('internal:')
    expect(JSON.stringify(failure)).not.toContain('db.')
  })

  test('[P7] neither cause nor stack goes over the wire', () => {
    const cause = new Error('password=hunter2')
    const failure = toWireFailure(new RealtimeError('publish_failed', 'refused', { cause }))
    expect(Object.keys(failure)).toEqual(['status', 'type', 'code', 'message', 'retryable'])
    expect(JSON.stringify(failure)).not.toContain('hunter2')
  })

  test('[P7] details that JSON cannot say cost the details, not the answer', () => {
    const cycle: Record<string, unknown> = {}
    cycle['self'] = cycle
    for (const details of [cycle, { n: 10n }]) {
      const failure = toWireFailure(new RealtimeError('publish_failed', 'refused', { details }))
      expect(failure).not.toHaveProperty('details')
      expect(failure.code).toBe('publish_failed')
    }
  })
})

describe('fromWireFailure', () => {
  test('[W5] any error of ours survives the way over the wire', () => {
    fc.assert(
      fc.property(
        fc.record({
          code: fc.constantFrom(...codes),
          message: fc.string(),
          retryable: fc.boolean(),
          retryAfterMs: fc.option(fc.nat(), { nil: undefined }),
          details: fc.option(fc.dictionary(fc.string(), fc.string()), { nil: undefined }),
        }),
        ({ code, message, retryable, retryAfterMs, details }) => {
          const error = new RealtimeError(code, message, {
            retryable,
            ...(retryAfterMs !== undefined && { retryAfterMs }),
            ...(details !== undefined && { details }),
          })
          const sent: unknown = JSON.parse(JSON.stringify(toWireFailure(error, 'm1')))
          const back = fromWireFailure(sent)
          expect(toWireFailure(back, 'm1')).toEqual(sent)
        },
      ),
    )
  })

  test('[W5] a code of a later version is internal_error, with the code in its details', () => {
    const sent = { code: 'moon_phase', message: 'full', retryable: false, details: { a: 1 } }
    expect(fromWireFailure(sent)).toMatchObject({
      code: 'internal_error',
      message: 'full',
      retryable: false,
      details: { a: 1, wireCode: 'moon_phase' },
    })
  })

  test('[W5] whatever comes, it is an error and never throws', () => {
    const odd = fc.oneof(
      fc.anything(),
      fc.dictionary(
        fc.constantFrom('code', 'message', 'retryable', 'retryAfterMs', 'details', '__proto__'),
        fc.anything(),
      ),
    )
    fc.assert(
      fc.property(odd, (value) => {
        const error = fromWireFailure(value)
        expect(isErrorCode(error.code)).toBe(true)
        expect(typeof error.message).toBe('string')
        expect(typeof error.retryable).toBe('boolean')
        expect(error.retryAfterMs ?? 0).toBeGreaterThanOrEqual(0)
      }),
      { numRuns: 500 },
    )
  })
})
