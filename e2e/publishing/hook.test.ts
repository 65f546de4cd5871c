import { RealtimeError } from '@bmt-central/realtime'
import type { OnPublish } from '@bmt-central/realtime-server'
import { expect, test } from 'vitest'
import { failureOf } from '../failure.js'
import { gate } from '../gate.js'
import { OPEN_RULE, World, type WorldOptions } from '../harness.js'
import { range, Reader } from '../reader.js'
import { until, within } from '../until.js'

const TOPIC = 'open:chat'

const withHook = (onPublish: OnPublish): WorldOptions => ({
  channels: [{ ...OPEN_RULE, onPublish }],
})

interface Chat {
  text: string
  author?: string
}

test('[R9] what `onPublish` returns is published, retained and replayed; who and what it is told', async () => {
  const asked: unknown[] = []
  await using world = await World.start(
    withHook((request) => {
      asked.push(request)
      const { user, payload } = request
      return { ...(payload as Chat), author: user.userId }
    }),
  )
  const heard = await Reader.live<Chat>(await world.join('bob'), TOPIC)
  await (await world.join('ada')).publish(TOPIC, { text: 'hello' }, { id: 'm1' })
  await heard.received(1)
  const enriched = { text: 'hello', author: 'ada' }
  expect(heard.payloads).toEqual([enriched])
  expect((await world.service.history(TOPIC)).messages.map(({ payload }) => payload)).toEqual([
    enriched,
  ])
  expect(asked).toEqual([
    {
      user: { userId: 'ada', role: 'user', permissions: [] },
      topic: TOPIC,
      payload: { text: 'hello' },
      id: 'm1',
    },
  ])
})

test('[R9] where it returns nothing, the payload is published as it came', async () => {
  await using world = await World.start(withHook(() => undefined))
  const heard = await Reader.live(await world.join('bob'), TOPIC)
  await (await world.join('ada')).publish(TOPIC, { text: 'hello' })
  await heard.received(1)
  expect(heard.payloads).toEqual([{ text: 'hello' }])
})

test('[R9] a RealtimeError that it throws is the publisher’s answer, and nobody hears the message', async () => {
  const refusal = new RealtimeError('permission_denied', 'not with these words', {
    details: { word: 'spam' },
  })
  await using world = await World.start(
    withHook(({ payload }) => {
      if ((payload as Chat).text.includes('spam')) throw refusal
    }),
  )
  const heard = await Reader.live<Chat>(await world.join('bob'), TOPIC)
  const client = await world.join('ada')
  const acks = [
    client.publish(TOPIC, { text: 'one' }),
    failureOf(client.publish(TOPIC, { text: 'spam' })),
    client.publish(TOPIC, { text: 'two' }),
  ]
  expect(await within(Promise.all(acks), 'all answers')).toMatchObject([
    { seq: 1 },
    { code: 'permission_denied', message: 'not with these words', details: { word: 'spam' } },
    { seq: 2 },
  ])
  await heard.received(2)
  expect(heard.payloads).toEqual([{ text: 'one' }, { text: 'two' }])
})

test('[R9][P1][P4] anything else that it throws is `publish_failed`: tried again, in call order, and never said twice', async () => {
  const tries: string[] = []
  await using world = await World.start(
    withHook(({ id }) => {
      tries.push(id)
      if (id === 'm2' && tries.filter((each) => each === 'm2').length < 3) {
        throw new Error('the database has hiccups')
      }
    }),
  )
  const heard = await Reader.live(await world.join('bob'), TOPIC)
  const client = await world.join('ada')
  const acks = await within(
    Promise.all(range(1, 4).map((number) => client.publish(TOPIC, number, { id: `m${number}` }))),
    'all acknowledgements',
  )
  await heard.received(4)
  expect(heard.payloads).toEqual([1, 2, 3, 4])
  expect(acks.map(({ seq }) => seq)).toEqual([1, 2, 3, 4])
  // What followed the refused one was refused before the hook was asked.
  expect(tries).toEqual(['m1', 'm2', 'm2', 'm2', 'm3', 'm4'])
  const failures = world.takeFailures()
  expect(failures).toHaveLength(2)
  expect(failures.join()).toContain('the database has hiccups')
})

test('[R9][W6][P1] a hook that takes its time holds back what follows in its topic, and nothing else', async () => {
  const slow = gate()
  await using world = await World.start({
    channels: [{ ...OPEN_RULE, match: 'open:slow', onPublish: () => slow.passed }, OPEN_RULE],
  })
  const reader = await world.join('bob')
  const [held, free] = [await Reader.live(reader, 'open:slow'), await Reader.live(reader, 'open:b')]
  const client = await world.join('ada')
  const acks = [1, 2].map((number) => client.publish('open:slow', number))
  await client.publish('open:b', 1)
  await free.received(1)
  expect(held.messages).toEqual([])
  slow.open()
  await within(Promise.all(acks), 'the acknowledgements')
  await held.received(2)
  expect(held.payloads).toEqual([1, 2])
})

test('[R9][P4][P5] the line goes while the hook is asked: the resend waits for the same result, the hook is asked once', async () => {
  const slow = gate()
  const asked: string[] = []
  await using world = await World.start(
    withHook(async ({ id, payload }) => {
      asked.push(id)
      await slow.passed
      return { stored: payload }
    }),
  )
  const line = await world.line()
  const heard = await Reader.live(await world.join('bob'), TOPIC)
  const client = await world.join('ada', { url: line.url })
  const ack = client.publish(TOPIC, 'once', { id: 'm1' })
  await until(() => asked.length === 1, 'the hook to be asked')
  line.cut()
  await until(() => client.getStats().reconnectCount === 1, 'the client to be back')
  slow.open()
  expect(await within(ack, 'the acknowledgement')).toMatchObject({ seq: 1 })
  await client.publish(TOPIC, 'next', { id: 'm2' })
  await heard.received(2)
  expect(heard.payloads).toEqual([{ stored: 'once' }, { stored: 'next' }])
  expect(asked).toEqual(['m1', 'm2'])
})

test('[R9] the server’s own publishes are not asked for', async () => {
  await using world = await World.start(
    withHook(() => {
      throw new RealtimeError('permission_denied', 'nobody may')
    }),
  )
  const heard = await Reader.live(await world.join('bob'), TOPIC)
  await world.service.publish(TOPIC, 'from the server')
  await heard.received(1)
  expect(heard.messages[0]).toMatchObject({ payload: 'from the server', from: null })
})
