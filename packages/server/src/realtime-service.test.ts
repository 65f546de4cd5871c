import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Schema } from '@bmt-central/realtime-protocol'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { MemoryBroker } from './broker/memory-broker.js'
import type { BrokerContext, BrokerSink } from './broker/broker.js'
import { RealtimeService } from './realtime-service.js'
import { SteeredRuntime } from './testing/rig/steered-runtime.js'
import { authenticateAnybody, collectingLogger, type LogLine } from './testing/rig/test-server.js'

/** A broker whose start a test lets go on. */
class LateBroker extends MemoryBroker {
  closed = false
  go: () => void = () => undefined
  readonly #wait = new Promise<void>((resolve) => (this.go = resolve))

  override async start(sink: BrokerSink, context: BrokerContext): Promise<{ windowEpoch: string }> {
    await this.#wait
    return super.start(sink, context)
  }

  override close(): Promise<void> {
    this.closed = true
    return super.close()
  }
}

test('closed while the broker starts: nobody is served, nothing is left running', async () => {
  const broker = new LateBroker()
  const runtime = new SteeredRuntime()
  const service = new RealtimeService({ authenticate: authenticateAnybody, broker, runtime })
  const listening = service.listen(0, '127.0.0.1')
  const published = service.publish('public:news', 1)
  const outcomes = Promise.allSettled([listening, published])
  const closed = service.close()
  broker.go()
  await closed
  expect(await outcomes).toMatchObject([
    { status: 'rejected', reason: { code: 'server_closing' } },
    { status: 'rejected', reason: { code: 'server_closing' } },
  ])
  expect([service.ready, broker.closed, runtime.pendingTimers]).toEqual([false, true, 0])
})

test('closed while the HTTP server begins to listen: it is closed, too', async () => {
  const service = new RealtimeService({ authenticate: authenticateAnybody })
  await service.publish('public:news', 1)
  const listening = service.listen(0, 'localhost')
  const outcome = Promise.allSettled([listening])
  await service.close()
  expect(await outcome).toMatchObject([{ reason: { code: 'server_closing' } }])
})

test('a broker that cannot start is the answer to everybody who needs it', async () => {
  const broker = new MemoryBroker()
  broker.start = () => Promise.reject(new Error('the directory is locked'))
  const service = new RealtimeService({ authenticate: authenticateAnybody, broker })
  await expect(service.listen(0)).rejects.toThrow('the directory is locked')
  await expect(service.history('public:news')).rejects.toThrow('the directory is locked')
  expect(service.ready).toBe(false)
  await service.close()
})

test('a port that is taken is an error of listen; the service goes on', async () => {
  const taken = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => taken.once('listening', resolve))
  const { port } = taken.address() as AddressInfo
  const service = new RealtimeService({ authenticate: authenticateAnybody })
  await expect(service.listen(port, '127.0.0.1')).rejects.toMatchObject({ code: 'EADDRINUSE' })
  expect(await service.listen(0, '127.0.0.1')).toEqual({ port: expect.any(Number) as number })
  expect(service.ready).toBe(true)
  await service.close()
  await new Promise((resolve) => taken.close(resolve))
})

test('close may be called twice, and before anything else; then nothing is taken on', async () => {
  const service = new RealtimeService({ authenticate: authenticateAnybody })
  await Promise.all([service.close(), service.close()])
  await expect(service.listen(0)).rejects.toMatchObject({ code: 'server_closing' })
  await expect(service.publish('a', 1)).rejects.toMatchObject({ code: 'server_closing' })
  await expect(service.history('a')).rejects.toMatchObject({ code: 'server_closing' })
})

test('[P1] the server’s own publishes keep their call order, however slow a schema is', async () => {
  const gates: (() => void)[] = []
  const slow: Schema = {
    '~standard': {
      version: 1,
      vendor: 'test',
      validate: async (value) => {
        await new Promise<void>((resolve) => gates.push(resolve))
        return { value }
      },
    },
  }
  const service = new RealtimeService({
    authenticate: authenticateAnybody,
    channels: [{ match: 'slow', schema: slow }, { match: '*' }],
  })
  const first = service.publish('slow', 1)
  const second = service.publish('slow', 2)
  expect(await service.publish('quick', 3)).toMatchObject({ seq: 1 })
  expect(service.getStats().bounds['ownPublishBytes']?.used).toBeGreaterThan(1_000)
  expect(gates).toHaveLength(1)
  gates.shift()?.()
  expect(await first).toMatchObject({ seq: 1 })
  while (gates.length === 0) await new Promise(setImmediate)
  gates.shift()?.()
  expect(await second).toMatchObject({ seq: 2 })
  expect(service.getStats().bounds['ownPublishBytes']?.used).toBe(0)
  await service.close()
})

test('what is published is the payload as it was when publish was called', async () => {
  const service = new RealtimeService({
    authenticate: authenticateAnybody,
    channels: [{ match: 'checked', schema: z.object({ n: z.number() }) }],
  })
  for (const topic of ['checked', 'unchecked']) {
    const payload = { n: 1 }
    const published = service.publish(topic, payload)
    payload.n = 2
    await published
    expect((await service.history(topic)).messages[0]?.payload).toEqual({ n: 1 })
  }
  await service.close()
})

test('[R9] the server is free of rights and onPublish, not of the schema', async () => {
  let asked = 0
  const service = new RealtimeService({
    authenticate: authenticateAnybody,
    channels: [
      {
        match: 'strict',
        publish: 'nobody',
        schema: z.object({ n: z.number().default(7) }),
        onPublish: () => void (asked += 1),
      },
    ],
  })
  await service.publish('strict', {})
  const page = await service.history('strict')
  expect(page.messages).toMatchObject([{ payload: { n: 7 }, from: null, seq: 1 }])
  await expect(service.publish('strict', { n: 'x' })).rejects.toMatchObject({
    code: 'validation_failed',
  })
  expect(asked).toBe(0)
  await service.close()
})

test('[P4] publish with an id and on behalf of a user is remembered as that user’s', async () => {
  const service = new RealtimeService({ authenticate: authenticateAnybody })
  const first = await service.publish('public:news', 1, { id: 'one', from: 'ann' })
  expect(first).toMatchObject({ messageId: 'one', seq: 1, duplicate: false })
  const again = await service.publish('public:news', 1, { id: 'one', from: 'ann' })
  expect(again).toEqual({ ...first, duplicate: true })
  expect(await service.publish('public:news', 1, { id: 'one' })).toMatchObject({ seq: 2 })
  await expect(service.publish('public:news', 2, { id: 'one', from: 'ann' })).rejects.toMatchObject(
    { code: 'id_conflict' },
  )
  const { messages } = await service.history('public:news')
  expect(messages.map(({ id, from }) => [id, from])).toEqual([
    ['one', 'ann'],
    ['one', null],
  ])
  await service.close()
})

test('what publish cannot take is refused by name', async () => {
  const service = new RealtimeService({
    authenticate: authenticateAnybody,
    limits: { maxPayloadBytes: 100 },
  })
  const refused: [Promise<unknown>, string][] = [
    [service.publish('a::b', 1), 'invalid_topic'],
    [service.publish('a', undefined), 'validation_failed'],
    [service.publish('a', 'x'.repeat(99)), 'payload_too_large'],
    [service.publish('a', 1, { id: 'no id' }), 'invalid_message'],
    [service.publish('a', 1, { from: 'a b' }), 'invalid_message'],
    [service.history('a', { limit: 0 }), 'invalid_message'],
    [service.broadcastSystemNotification('loud' as 'info', 'x'), 'invalid_message'],
  ]
  for (const [promise, code] of refused) await expect(promise).rejects.toMatchObject({ code })
  await service.close()
})

test('[R4] broadcastSystemNotification publishes to system:notifications', async () => {
  const service = new RealtimeService({ authenticate: authenticateAnybody })
  await service.broadcastSystemNotification('info', 'Deploy at noon')
  await service.broadcastSystemNotification('error', 'Down', { since: 1 })
  const { messages } = await service.history('system:notifications')
  expect(messages.map(({ payload }) => payload)).toEqual([
    { level: 'info', message: 'Deploy at noon' },
    { level: 'error', message: 'Down', data: { since: 1 } },
  ])
  await service.close()
})

test('[W13] the server reads history as clients do', async () => {
  const service = new RealtimeService({ authenticate: authenticateAnybody })
  for (let n = 1; n <= 5; n += 1) await service.publish('a', n)
  const newest = await service.history('a', { limit: 2 })
  expect([newest.seq, newest.more, newest.messages.map(({ payload }) => payload)]).toEqual([
    5,
    true,
    [4, 5],
  ])
  const { epoch } = newest
  const later = await service.history('a', { since: { epoch, seq: 1 }, limit: 2 })
  expect([later.more, later.messages.map(({ seq }) => seq)]).toEqual([true, [2, 3]])
  expect(await service.history('a', { since: { epoch: 'other', seq: 1 } })).toMatchObject({
    gap: { reason: 'epoch_changed', epoch },
  })
  await service.close()
})

test('[P7] a listener that throws is logged, and the next one hears the event', async () => {
  const log: LogLine[] = []
  const service = new RealtimeService({
    authenticate: authenticateAnybody,
    logger: collectingLogger(log),
  })
  const heard: unknown[] = []
  service.on('publish', () => {
    throw new Error('mine')
  })
  const stop = service.on('publish', ({ seq }) => heard.push(seq))
  await service.publish('a', 1)
  stop()
  stop()
  await service.publish('a', 2)
  expect(heard).toEqual([1])
  expect(log.filter(({ level }) => level === 'error')).toHaveLength(2)
  await service.close()
})
