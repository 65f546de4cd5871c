import { expect, test } from 'vitest'
import { answerHistory, events } from './testing/answers.js'
import { failureOf, testClient } from './testing/test-client.js'

test('[W13] one page, as it was asked for', async () => {
  const { client, runtime, connected } = testClient()
  const link = await connected()
  const page = client.history('cafe\u0301', { before: { epoch: 'e', seq: 9 }, limit: 3 })
  await runtime.settle()
  expect(link.sent('history')).toEqual([
    { topic: 'caf\u00e9', before: { epoch: 'e', seq: 9 }, limit: 3 },
  ])
  answerHistory(link, 'caf\u00e9', { messages: events('caf\u00e9', 6, 8), more: true, seq: 12 })
  expect(await page).toMatchObject({
    epoch: 'e',
    seq: 12,
    more: true,
    messages: [{ seq: 6 }, {}, {}],
  })
})

test('[W13] what is refused, here or there', async () => {
  const { client, server, runtime, connected } = testClient()
  expect(await failureOf(client.history('room'))).toMatchObject({ code: 'not_connected' })
  server.welcome = { rules: [{ match: 'open', subscribe: 'anyone', publish: 'nobody' }] }
  const link = await connected()
  expect(await failureOf(client.history('a::b'))).toMatchObject({ code: 'invalid_topic' })
  expect(await failureOf(client.history('open', { limit: 0 }))).toMatchObject({
    code: 'invalid_message',
  })
  expect(await failureOf(client.history('secret'))).toMatchObject({ code: 'permission_denied' })
  expect(link.requests).toEqual([])
  const refused = failureOf(client.history('open'))
  await runtime.settle()
  link.waiting('history')[0]?.refuse('rate_limited', { retryAfterMs: 20 })
  expect(await refused).toMatchObject({ code: 'rate_limited', retryAfterMs: 20 })
})

test('[W13] it ends with its link, its time, or its signal', async () => {
  const { client, runtime, connected } = testClient()
  const link = await connected()
  const late = failureOf(client.history('room'))
  await runtime.advance(10_000)
  expect(await late).toMatchObject({ code: 'timeout' })
  const controller = new AbortController()
  const aborted = failureOf(client.history('room', { signal: controller.signal }))
  controller.abort()
  expect(await aborted).toMatchObject({ code: 'aborted' })
  expect(await failureOf(client.history('room', { signal: controller.signal }))).toMatchObject({
    code: 'aborted',
  })
  const lost = failureOf(client.history('room'))
  await runtime.settle()
  link.down()
  expect(await lost).toMatchObject({ code: 'not_connected' })
})

test('[L15] no more requests wait than the cap', async () => {
  const { client, runtime, connected } = testClient()
  await connected()
  const all = Array.from({ length: 501 }, () => failureOf(client.history('room')))
  await runtime.settle()
  expect(client.getStats().bounds['requests']).toEqual({ used: 500, cap: 500 })
  expect(await all[500]).toMatchObject({ code: 'rate_limited', retryable: true })
  await client.close()
  await Promise.all(all)
})
