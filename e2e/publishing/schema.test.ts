import type { Schema } from '@bmt-central/realtime-server'
import * as v from 'valibot'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { failureOf } from '../failure.js'
import { OPEN_RULE, World } from '../harness.js'
import { Reader } from '../reader.js'
import { within } from '../until.js'

const TOPIC = 'open:orders'

/** The same shape in both languages: a default, a transformation, and what is unknown is dropped. */
const SCHEMAS: Record<string, Schema<unknown, unknown>> = {
  zod: z.object({
    name: z.string().trim().min(1),
    count: z.number().int().default(1),
    tags: z.array(z.object({ key: z.string() })).default([]),
  }),
  valibot: v.object({
    name: v.pipe(v.string(), v.trim(), v.minLength(1)),
    count: v.optional(v.pipe(v.number(), v.integer()), 1),
    tags: v.optional(v.array(v.object({ key: v.string() })), []),
  }),
  'zod, asked asynchronously': z.object({
    name: z
      .string()
      .trim()
      .refine((name) => Promise.resolve(name !== '')),
    count: z.number().int().default(1),
    tags: z.array(z.object({ key: z.string() })).default([]),
  }),
}

describe.each(Object.entries(SCHEMAS))('a schema of %s', (_, schema) => {
  test('[R9] its output is what is published, retained and given to `onPublish`', async () => {
    const given: unknown[] = []
    const onPublish = ({ payload }: { payload: unknown }): void => void given.push(payload)
    await using world = await World.start({ channels: [{ ...OPEN_RULE, schema, onPublish }] })
    const heard = await Reader.live(await world.join('bob'), TOPIC)
    const ack = (await world.join('ada')).publish(TOPIC, { name: '  tea ', unknown: true })
    await within(ack, 'the acknowledgement')
    await heard.received(1)
    const output = { name: 'tea', count: 1, tags: [] }
    expect(heard.payloads).toEqual([output])
    expect(given).toEqual([output])
    expect((await world.service.history(TOPIC)).messages[0]?.payload).toEqual(output)
  })

  test('[R9] what does not fit is refused with where and why, and nobody hears of it', async () => {
    await using world = await World.start({ channels: [{ ...OPEN_RULE, schema }] })
    const heard = await Reader.live(await world.join('bob'), TOPIC)
    const client = await world.join('ada')
    const error = await failureOf(
      client.publish(TOPIC, { name: 'tea', count: 1.5, tags: [{ key: 7 }] }),
    )
    expect(error).toMatchObject({ code: 'validation_failed', retryable: false, kind: 'message' })
    const issues = error.details?.['issues'] as { message: string; path: string[] }[]
    expect(issues.map(({ path }) => path)).toEqual([['count'], ['tags', '0', 'key']])
    expect(issues.every(({ message }) => message.length > 0)).toBe(true)
    expect(error.message).toContain('count')

    await client.publish(TOPIC, { name: 'coffee' })
    await heard.received(1)
    expect(heard.messages.map(({ seq }) => seq)).toEqual([1])
    await expect(world.service.publish(TOPIC, { name: 7 })).rejects.toMatchObject({
      code: 'validation_failed',
    })
  })

  test('[P4][R9] a resend is recognised by what was sent, whatever the schema makes of it', async () => {
    await using world = await World.start({ channels: [{ ...OPEN_RULE, schema }] })
    const client = await world.join('ada')
    const send = (name: string) => client.publish(TOPIC, { name }, { id: 'm1' })
    expect(await send(' tea')).toMatchObject({ seq: 1, duplicate: false })
    expect(await send(' tea')).toMatchObject({ seq: 1, duplicate: true })
    // The schema would make the same of it: it is another payload all the same.
    expect(await failureOf(send('tea '))).toMatchObject({ code: 'id_conflict' })
  })
})
