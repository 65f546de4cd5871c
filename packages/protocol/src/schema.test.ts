import * as v from 'valibot'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { RealtimeError } from './errors.js'
import { applySchema, isSchema, type Schema } from './schema.js'

const withZod: Schema<unknown, unknown> = z.object({
  text: z.string().trim().min(1),
  tags: z.array(z.string()).default([]),
})
const withValibot: Schema<unknown, unknown> = v.object({
  text: v.pipe(v.string(), v.trim(), v.minLength(1)),
  tags: v.optional(v.array(v.string()), []),
})
const later: Schema<unknown, unknown> = z.object({
  text: z.string().refine(async (text) => Promise.resolve(text.length > 0), 'empty'),
})
const library = (validate: (value: unknown) => unknown): Schema =>
  ({ '~standard': { version: 1, vendor: 'test', validate } }) as Schema

describe.each([
  ['zod', withZod],
  ['valibot', withValibot],
])('%s', (_name, schema) => {
  test('[R9] is a schema, and its output is what is published: transforms and defaults', () => {
    expect(isSchema(schema)).toBe(true)
    expect(applySchema(schema, { text: '  hi ' })).toEqual({ text: 'hi', tags: [] })
  })

  test('[R9] what does not fit is validation_failed, with the issues and their places', () => {
    const run = () => applySchema(schema, { text: 'x', tags: ['a', 7] })
    expect(run).toThrow(RealtimeError)
    expect(run).toThrow(/does not fit the schema of the channel at tags\.1: /)
    expect(run).toThrow(
      expect.objectContaining({
        code: 'validation_failed',
        details: { issues: [{ message: expect.any(String) as unknown, path: ['tags', '1'] }] },
      }),
    )
  })
})

describe('applySchema', () => {
  test('[R9] waits for a schema that answers later, both ways', async () => {
    await expect(applySchema(later, { text: 'x' })).resolves.toEqual({ text: 'x' })
    await expect(applySchema(later, { text: '' })).rejects.toMatchObject({
      code: 'validation_failed',
      details: { issues: [{ message: 'empty', path: ['text'] }] },
    })
  })

  test('[R9] a promise of another kind than ours is waited for, too', async () => {
    const thenable = library((value) => ({
      // oxlint-disable-next-line unicorn/no-thenable -- a thenable is what is tested here
      then: (resolve: (result: unknown) => void) => resolve({ value }),
    }))
    await expect(applySchema(thenable, 7)).resolves.toBe(7)
  })

  test('[R9] at most 20 issues are told, and paths of objects are named by their keys', () => {
    const issues = Array.from({ length: 50 }, (_, index) => ({
      message: `no ${index}`,
      path: [{ key: 'list' }, index],
    }))
    const run = () =>
      applySchema(
        library(() => ({ issues })),
        1,
      )
    expect(run).toThrow(/at list\.0: no 0$/)
    let thrown: unknown
    try {
      run()
    } catch (error) {
      thrown = error
    }
    expect((thrown as RealtimeError).details?.['issues']).toHaveLength(20)
  })

  test('[R9] an issue without a place, and none at all, are still refusals', () => {
    expect(() =>
      applySchema(
        library(() => ({ issues: [{ message: 'odd' }] })),
        1,
      ),
    ).toThrow('the payload does not fit the schema of the channel: odd')
    expect(() =>
      applySchema(
        library(() => ({ issues: [] })),
        1,
      ),
    ).toThrow(/refused$/)
  })
})

test.each([
  [undefined],
  [null],
  [7],
  [{}],
  [{ '~standard': null }],
  [{ '~standard': { version: 2, validate: () => 1 } }],
  [{ '~standard': { version: 1 } }],
])('[R9] %j is no schema', (value) => {
  expect(isSchema(value)).toBe(false)
})

test('[R9] a function may be a schema, as some libraries have it', () => {
  expect(
    isSchema(
      Object.assign(
        () => 1,
        library((value) => ({ value })),
      ),
    ),
  ).toBe(true)
})
