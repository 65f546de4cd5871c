import { virtualRuntime } from '@bmt-central/realtime-protocol/testing'
import { describe, expect, test } from 'vitest'
import type { RealtimeOptions } from '../options.js'
import { acceptPublish } from '../testing/answers.js'
import type { FakeLink } from '../testing/fake-server.js'
import { MemoryStore } from '../testing/memory-store.js'
import { failureOf, outcome, testClient, type TestClient } from '../testing/test-client.js'

const ADA = { userId: 'ada', role: 'user', permissions: [] }
const BOB = { userId: 'bob', role: 'user', permissions: [] }
type Options = Pick<RealtimeOptions, 'maxQueueSize'>

const UNKNOWN = { outcome: 'unknown' }

const ids = (link: FakeLink): string[] => link.sent('publish').map(({ messageId }) => messageId)
const afters = (link: FakeLink): unknown[] =>
  link.sent('publish').map(({ messageId, after }) => [messageId, after ?? null])
const told = ({ outbox }: TestClient): string[] =>
  outbox.map(({ id, state, error }) => [id, state, error?.code].filter(Boolean).join(' '))

/** Each under its own text as id; what becomes of them is kept, nothing is unhandled. */
function publishAll(
  { client }: TestClient,
  names: readonly string[],
  topic = 'room',
): { settled: Promise<unknown>[] } {
  const settled = names.map((id) =>
    client.publish(topic, { text: id }, { id }).then(
      ({ seq }) => seq,
      (error: unknown) => error,
    ),
  )
  return { settled }
}

/** Timers of 0 ms: what is written is written in a later turn. */
const write = ({ runtime }: TestClient): Promise<void> => runtime.advance(0)

/** A client that was connected as ada, holds the store, and is offline. */
async function offline(store: MemoryStore, options: Options = {}): Promise<TestClient> {
  const world = testClient({ outboxStore: store, ...options })
  await world.connected()
  world.client.disconnect()
  await write(world)
  return world
}

/** The page of `before` dies, and another one begins `awayMs` later, not connected. */
async function reload(
  store: MemoryStore,
  before: TestClient,
  { awayMs = 1_000, ...options }: Options & { awayMs?: number } = {},
): Promise<TestClient> {
  store.crash()
  const runtime = virtualRuntime({ startAt: before.runtime.wallNow() + awayMs })
  const world = testClient({ ...options, outboxStore: store, runtime })
  await runtime.settle()
  return world
}

/** Connects and lets everything be sent that may be. */
async function online(world: TestClient): Promise<FakeLink> {
  const link = await world.connected()
  await world.runtime.advance(10)
  return link
}

describe('a reload', () => {
  test('[P1][L13] queued publishes come back in order, before newer ones, with what they were', async () => {
    const store = new MemoryStore()
    const first = await offline(store)
    const bytes = new Uint8Array([1, 2, 3])
    publishAll(first, ['a', 'b'])
    void failureOf(first.client.publish('files', { bytes }, { id: 'c' }))
    await write(first)
    const second = await reload(store, first)
    publishAll(second, ['d'])
    expect(told(second)).toEqual(['a queued', 'b queued', 'c queued', 'd queued'])
    expect(second.client.getStats()).toMatchObject({ queueSize: 4, outboxStore: 'held' })
    second.server.welcome = {
      rules: [{ match: '*', subscribe: 'anyone', publish: 'anyone', binary: true }],
    }
    const link = await online(second)
    expect(afters(link)).toEqual([
      ['a', null],
      ['b', 'a'],
      ['c', null],
      ['d', 'b'],
    ])
    expect(link.sent('publish').map(({ payload }) => payload)).toEqual([
      { text: 'a' },
      { text: 'b' },
      { bytes },
      { text: 'd' },
    ])
    for (const seq of [1, 2, 3, 4]) acceptPublish(link, seq)
    await write(second)
    expect(told(second).slice(-4)).toEqual(['a', 'b', 'c', 'd'].map((id) => `${id} acknowledged`))
    expect(second.client.getStats()).toMatchObject({ acknowledged: 4, queueSize: 0 })
    expect(store.stored).toEqual([])
  })

  test('[P5] told as queued means on the disk, where there is no connection', async () => {
    const store = new MemoryStore()
    const world = await offline(store)
    const goOn = store.pause()
    publishAll(world, ['a'])
    await write(world)
    expect([told(world), store.stored]).toEqual([[], []])
    goOn()
    await world.runtime.settle()
    expect([told(world), store.stored]).toEqual([['a queued'], [['a', false]]])
  })

  test('[P4] a connected publish is sent at once, and is stored as sent', async () => {
    const store = new MemoryStore()
    const world = testClient({ outboxStore: store })
    const link = await world.connected()
    publishAll(world, ['a'])
    await world.runtime.settle()
    expect([ids(link), store.writes]).toEqual([['a'], []])
    await write(world)
    expect(store.stored).toEqual([['a', true]])
    acceptPublish(link, 1)
    await write(world)
    expect(store.stored).toEqual([])
    // Answered before the write: never on the disk at all.
    publishAll(world, ['b'])
    await world.runtime.settle()
    acceptPublish(link, 2)
    await write(world)
    expect(store.writes).toHaveLength(2)
  })

  test('[P4] what the disk calls unsent is marked there first, then sent', async () => {
    const store = new MemoryStore()
    const world = await offline(store)
    publishAll(world, ['a', 'b'])
    await write(world)
    const goOn = store.pause()
    const link = await online(world)
    publishAll(world, ['c'], 'other')
    await write(world)
    expect(ids(link)).toEqual([])
    goOn()
    await world.runtime.settle()
    expect(store.stored.slice(0, 2)).toEqual([
      ['a', true],
      ['b', true],
    ])
    expect(ids(link)).toEqual(['a', 'b', 'c'])
  })

  test('[P4] sent before the reload: the same id, at once, and again in order', async () => {
    const store = new MemoryStore()
    const first = testClient({ outboxStore: store })
    await first.connected()
    publishAll(first, ['a', 'b'])
    await write(first)
    const second = await reload(store, first, { awayMs: 240_000 })
    publishAll(second, ['c'])
    const link = await online(second)
    expect(afters(link)).toEqual([
      ['a', null],
      ['b', 'a'],
      ['c', 'b'],
    ])
    acceptPublish(link, 1, { duplicate: true })
    await second.runtime.settle()
    expect(second.outbox.at(-1)).toMatchObject({ state: 'acknowledged', ack: { duplicate: true } })
  })

  test.each([
    ['the window is nearly over', { awayMs: 270_001 }, {}],
    ['the server has lost its window', {}, { windowEpoch: 'window-2' }],
    ['the clock was set back', { awayMs: -60_000 }, {}],
  ])('[P4] sent before the reload, and %s: unknown, never resent', async (_, options, welcome) => {
    const store = new MemoryStore()
    const first = await offline(store)
    publishAll(first, ['a'])
    await write(first)
    const before = await online(first)
    publishAll(first, ['b'])
    await write(first)
    expect(ids(before)).toEqual(['a', 'b'])
    const second = await reload(store, first, options)
    second.server.welcome = welcome
    const link = await online(second)
    expect(ids(link)).toEqual([])
    expect(told(second).slice(-2)).toEqual(['a failed timeout', 'b failed timeout'])
    expect(second.outbox.at(-1)?.error?.details).toEqual(UNKNOWN)
    expect(store.stored).toEqual([])
  })

  test('[P4] never on the wire: it is sent at any age that maxOfflineMs allows', async () => {
    const store = new MemoryStore()
    const first = await offline(store)
    publishAll(first, ['a'])
    await write(first)
    const second = await reload(store, first, { awayMs: 3_600_000 })
    expect(ids(await online(second))).toEqual(['a'])
  })

  test('[P4] refused before the reload: its outcome is known, it may be sent at any age', async () => {
    const store = new MemoryStore()
    const first = await offline(store)
    publishAll(first, ['a'])
    await write(first)
    const link = await online(first)
    link.waiting('publish')[0]?.refuse('broker_unavailable', { retryAfterMs: 60_000 })
    await first.runtime.advance(10)
    first.client.disconnect()
    await write(first)
    expect(store.stored).toEqual([['a', false]])
  })

  test('[L14] time goes on while no page is open: ttlMs and maxOfflineMs', async () => {
    const store = new MemoryStore()
    const first = await offline(store)
    void failureOf(first.client.publish('room', 1, { id: 'short', ttlMs: 30_000 }))
    publishAll(first, ['long'])
    await write(first)
    const second = await reload(store, first, { awayMs: 29_000 })
    await second.runtime.advance(2_000)
    expect(told(second)).toEqual(['short queued', 'long queued', 'short failed expired'])
    const third = await reload(store, second, { awayMs: 86_400_000 })
    await third.runtime.advance(1)
    expect(told(third)).toEqual(['long queued', 'long failed expired'])
    expect(store.stored).toEqual([])
  })

  test('[L13] stored and new ones together are bounded; the oldest stored one goes first', async () => {
    const store = new MemoryStore()
    const limits = { maxQueueSize: 3 }
    const first = await offline(store, limits)
    publishAll(first, ['a', 'b', 'c'])
    await write(first)
    const second = await reload(store, first, limits)
    publishAll(second, ['d'])
    await write(second)
    expect(told(second).slice(3)).toEqual(['d queued', 'a failed queue_overflow'])
    expect(second.client.getStats().queueSize).toBe(3)
    const third = await reload(store, second, { maxQueueSize: 1 })
    await write(third)
    expect(told(third)).toEqual(['b queued', 'c queued', 'b failed queue_overflow'])
    expect(store.stored).toEqual([['c', false]])
  })

  test('[P11] what may not wait is not stored', async () => {
    const store = new MemoryStore()
    const world = testClient({ outboxStore: store })
    world.server.welcome = {
      rules: [
        { match: 'typing:*', subscribe: 'anyone', publish: 'anyone', delivery: 'ephemeral' },
        { match: '*', subscribe: 'anyone', publish: 'anyone' },
      ],
    }
    const link = await world.connected()
    publishAll(world, ['a'], 'typing:1')
    void failureOf(world.client.publish('room', 1, { id: 'b', queue: false }))
    publishAll(world, ['c'])
    await write(world)
    expect(ids(link)).toEqual(['a', 'b', 'c'])
    expect(store.stored).toEqual([['c', true]])
  })

  test('[P5] unreadable records are dropped, logged and told, and the others go on', async () => {
    const store = new MemoryStore()
    const first = await offline(store)
    publishAll(first, ['a', 'b'])
    await write(first)
    const good = store.values.get(1) as object
    store.values.set(0, { ...good, id: 'a', format: 2 })
    store.values.set(2, 'nonsense')
    store.values.set(3, { ...good, id: 'c', topic: 'a::b' })
    store.values.set(4, { ...good, id: 'd', sent: { at: 'noon' } })
    const second = await reload(store, first)
    await write(second)
    const code = 'invalid_message'
    expect(told(second)).toEqual([
      `a failed ${code}`,
      `failed ${code}`,
      `c failed ${code}`,
      `d failed ${code}`,
      'b queued',
    ])
    expect(second.outbox[0]?.error?.details).toEqual(UNKNOWN)
    expect(second.logs.filter(({ level }) => level === 'warn')).toHaveLength(4)
    expect(store.stored).toEqual([['b', false]])
    // New ones come after all there ever were.
    publishAll(second, ['e'])
    await online(second)
    expect([...store.values.keys()]).toEqual([1, 5])
  })
})

describe('whose they are', () => {
  test('[C8] another user’s are never sent, and told as closed', async () => {
    const store = new MemoryStore()
    const first = await offline(store)
    publishAll(first, ['a', 'b'])
    await write(first)
    const second = await reload(store, first)
    publishAll(second, ['mine'])
    second.server.welcome = { user: BOB }
    const link = await online(second)
    expect(ids(link)).toEqual(['mine'])
    expect(told(second)).toEqual([
      'a queued',
      'b queued',
      'mine queued',
      'mine sent',
      'a failed closed',
      'b failed closed',
    ])
    expect(second.outbox.at(-1)?.error).not.toHaveProperty('details')
    expect(store.stored).toEqual([['mine', true]])
  })

  test('[C8] until somebody is connected, stored ones wait and new ones are in memory only', async () => {
    const store = new MemoryStore()
    const first = await offline(store)
    publishAll(first, ['a'])
    await write(first)
    const second = await reload(store, first)
    publishAll(second, ['whose'])
    await second.runtime.advance(60_000)
    expect(store.stored).toEqual([['a', false]])
    second.server.welcome = { user: ADA }
    const link = await second.connected()
    await write(second)
    expect(store.stored.map(([id]) => id)).toEqual(['a', 'whose'])
    expect(ids(link)).toEqual(['a', 'whose'])
  })

  test('[C1][C8] a final refusal ahead of it does not end them: their owner may come yet', async () => {
    const store = new MemoryStore()
    const first = await offline(store)
    publishAll(first, ['a'])
    await write(first)
    const second = await reload(store, first)
    const { settled } = publishAll(second, ['mine'])
    const admit = second.server.onOpen
    second.server.onOpen = (link) => queueMicrotask(() => link.down('kicked'))
    expect(await failureOf(second.client.connect())).toMatchObject({ code: 'kicked' })
    expect(await settled[0]).toMatchObject({ code: 'kicked' })
    expect(store.stored).toEqual([['a', false]])
    second.server.onOpen = admit
    expect(ids(await online(second))).toEqual(['a'])
  })

  test('[C8] one visitor without a token is themselves again, and nobody else’s', async () => {
    const store = new MemoryStore()
    const anonymous = (id: string) => ({
      user: { userId: `anonymous-${id}`, role: 'anonymous', permissions: [] },
    })
    const first = testClient({ outboxStore: store })
    first.server.welcome = anonymous('1')
    await first.connected()
    first.client.disconnect()
    publishAll(first, ['a'])
    await write(first)
    const second = await reload(store, first)
    second.server.welcome = anonymous('2')
    expect(ids(await online(second))).toEqual(['a'])
    const third = await reload(store, second)
    const link = await online(third)
    expect([ids(link), told(third).at(-1)]).toEqual([[], 'a failed closed'])
  })

  test('[C8][P5] close() clears what is stored: rejected first, and gone when it resolves', async () => {
    const store = new MemoryStore()
    const world = await offline(store)
    const { settled } = publishAll(world, ['a', 'b'])
    await write(world)
    const goOn = store.pause()
    const closed = world.client.close()
    await world.runtime.settle()
    // Rejected only once a crash cannot bring it back any more.
    expect([await outcome(settled[0] as Promise<unknown>), await outcome(closed)]).toEqual([
      'pending',
      'pending',
    ])
    goOn()
    await closed
    expect(await Promise.all(settled)).toMatchObject([{ code: 'closed' }, { code: 'closed' }])
    expect(told(world).slice(-2)).toEqual(['a failed closed', 'b failed closed'])
    expect([store.stored, store.isHeld]).toEqual([[], false])
  })

  test('[C8] close() right after the start clears what an earlier page has left, too', async () => {
    const store = new MemoryStore()
    const first = await offline(store)
    publishAll(first, ['a'])
    await write(first)
    store.crash()
    const second = testClient({ outboxStore: store })
    await second.client.close()
    expect(told(second)).toEqual(['a queued', 'a failed closed'])
    expect(store.stored).toEqual([])
  })

  test('[P5] what was aborted does not come back', async () => {
    const store = new MemoryStore()
    const world = await offline(store)
    const controller = new AbortController()
    const { signal } = controller
    const aborted = failureOf(world.client.publish('room', 1, { id: 'a', signal }))
    await write(world)
    controller.abort()
    await write(world)
    expect(await aborted).toMatchObject({ code: 'aborted' })
    expect(store.stored).toEqual([])
  })
})

describe('two tabs', () => {
  test('[P2][P4] the second works from memory, and takes over in order when the first is gone', async () => {
    const store = new MemoryStore()
    const first = await offline(store)
    publishAll(first, ['a', 'b'])
    await write(first)
    const second = testClient({ outboxStore: store })
    const link = await second.connected()
    publishAll(second, ['x'])
    await write(second)
    expect([ids(link), second.client.getStats().outboxStore]).toEqual([['x'], 'waiting'])
    publishAll(second, ['y'])
    await write(second)
    expect(store.stored.map(([id]) => id)).toEqual(['a', 'b'])
    store.crash()
    await second.runtime.advance(10)
    expect(second.client.getStats()).toMatchObject({ outboxStore: 'held', queueSize: 4 })
    // What was on its way before stays ahead; the server hears of every predecessor that it has.
    expect(afters(link)).toEqual([
      ['x', null],
      ['y', 'x'],
      ['a', 'y'],
      ['b', 'a'],
    ])
    expect(store.stored.map(([id]) => id)).toEqual(['a', 'b', 'x', 'y'])
  })

  test('[P1] taken over while offline: before its own', async () => {
    const store = new MemoryStore()
    const first = await offline(store)
    publishAll(first, ['a'])
    await write(first)
    const second = await offline(store)
    publishAll(second, ['x'])
    store.crash()
    await write(second)
    expect(ids(await online(second))).toEqual(['a', 'x'])
    expect(told(second).slice(0, 2)).toEqual(['x queued', 'a queued'])
  })

  test('[C8] taken over by a tab of another user: closed, never sent', async () => {
    const store = new MemoryStore()
    const first = await offline(store)
    publishAll(first, ['a'])
    await write(first)
    const second = testClient({ outboxStore: store })
    second.server.welcome = { user: BOB }
    const link = await second.connected()
    store.crash()
    await second.runtime.advance(10)
    expect([ids(link), told(second), store.stored]).toEqual([
      [],
      ['a queued', 'a failed closed'],
      [],
    ])
  })

  test('[C8] a tab that waits can be closed, and leaves the other’s alone', async () => {
    const store = new MemoryStore()
    const first = await offline(store)
    publishAll(first, ['a'])
    await write(first)
    const second = testClient({ outboxStore: store })
    await second.client.close()
    expect([store.stored, store.isHeld, told(second)]).toEqual([[['a', false]], true, []])
  })
})

describe('a store that fails', () => {
  test('[P5] it cannot be opened: everything goes on in memory, said once', async () => {
    const outboxStore = { open: () => Promise.reject(new Error('private window')) }
    const world = testClient({ outboxStore })
    await world.connected()
    const { settled } = publishAll(world, ['a'])
    await world.runtime.settle()
    acceptPublish(world.server.link, 7)
    expect(await settled[0]).toBe(7)
    expect(world.client.getStats().outboxStore).toBe('failed')
    expect(world.logs.filter(({ level }) => level === 'warn')).toHaveLength(1)
  })

  test('[P4] no room: told, sent and settled all the same, and nothing stale stays', async () => {
    const store = new MemoryStore()
    const world = await offline(store)
    publishAll(world, ['old'])
    await write(world)
    store.fault = ({ put }) => (put.length > 0 ? 'rejects' : null)
    publishAll(world, ['a'])
    await write(world)
    expect(told(world)).toEqual(['old queued', 'a queued'])
    expect(store.stored).toEqual([['old', false]])
    const link = await online(world)
    // It could not be marked as sent: so it had to go from the disk first.
    expect([ids(link), store.stored]).toEqual([['old', 'a'], []])
    for (const seq of [1, 2]) acceptPublish(link, seq)
    await write(world)
    expect(world.client.getStats()).toMatchObject({ queueSize: 0, outboxStore: 'held' })
    expect(world.logs.filter(({ level }) => level === 'warn')).toHaveLength(1)
    // There is room again.
    store.fault = () => null
    world.client.disconnect()
    publishAll(world, ['b'])
    await write(world)
    expect(store.stored).toEqual([['b', false]])
  })

  test.each(['rejects', 'hangs'] as const)(
    '[P5] every write %s: nothing is lost, nothing hangs, the store is given back',
    async (fault) => {
      const store = new MemoryStore()
      const world = await offline(store)
      const { settled } = publishAll(world, ['old'])
      await write(world)
      store.fault = () => fault
      settled.push(...publishAll(world, ['a']).settled)
      await world.runtime.advance(5_000)
      expect(told(world)).toEqual(['old queued', 'a queued'])
      expect(world.client.getStats()).toMatchObject({ outboxStore: 'failed', queueSize: 2 })
      expect(store.isHeld).toBe(false)
      const link = await online(world)
      for (const seq of [1, 2]) acceptPublish(link, seq)
      expect(await Promise.all(settled)).toEqual([1, 2])
    },
  )

  test('[P5] a rejection does not wait for ever for a store that hangs', async () => {
    const store = new MemoryStore()
    const world = await offline(store)
    const { settled } = publishAll(world, ['a'])
    await write(world)
    store.fault = () => 'hangs'
    const closed = world.client.close()
    await world.runtime.advance(5_000)
    await closed
    expect(await settled[0]).toMatchObject({ code: 'closed' })
  })

  test('[P7] how much waits to be written is in the statistics, and bounded', async () => {
    const store = new MemoryStore()
    const world = await offline(store, { maxQueueSize: 10 })
    const goOn = store.pause()
    publishAll(
      world,
      Array.from({ length: 100 }, (_, index) => `m-${index}`),
    )
    await write(world)
    publishAll(
      world,
      Array.from({ length: 100 }, (_, index) => `n-${index}`),
    )
    const { used, cap } = world.client.getStats().bounds['outboxChanges'] ?? { used: 0, cap: 0 }
    expect(cap).toBe(20)
    expect(used).toBeGreaterThan(0)
    expect(used).toBeLessThanOrEqual(cap)
    goOn()
    await world.runtime.settle()
    expect(store.stored).toHaveLength(10)
  })
})
