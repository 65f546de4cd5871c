import assert from 'node:assert/strict'
import { assertRefused, BrokerWorld, idsOf, type BrokerTest } from './broker-world.js'

const WINDOW_MS = 5 * 60_000

/** Law 3: a message id is one publication. */
export function describeIdempotency(test: BrokerTest): void {
  test('[P4] a resend gives the first result and announces nothing', async (create) => {
    await using world = await BrokerWorld.open(create)
    const first = await world.publish('a', 'm1')
    await world.runtime.advance(1_000)
    const again = await world.publish('a', 'm1')
    await world.publish('a', 'marker')
    await world.heardOf('marker')
    assert.equal(first.duplicate, false)
    assert.deepEqual(again, { ...first, duplicate: true })
    assert.deepEqual(world.heardIds('a'), ['m1', 'marker'])
    assert.deepEqual(idsOf(await world.whole('a')), ['m1', 'marker'])
  })

  test('[P4] a resend that is sent while the first is under way is one publication', async (create) => {
    await using world = await BrokerWorld.open(create)
    const results = await Promise.all([1, 2, 3].map(() => world.publish('a', 'm1')))
    assert.deepEqual(
      results.map(({ seq }) => seq),
      [1, 1, 1],
    )
    assert.equal(results.filter(({ duplicate }) => !duplicate).length, 1)
    assert.equal((await world.whole('a')).head, 1)
  })

  test('[P4] the same id with another payload is a conflict, and changes nothing', async (create) => {
    await using world = await BrokerWorld.open(create)
    await world.publish('a', 'm1', { json: '1' })
    await assertRefused('id_conflict', () => world.publish('a', 'm1', { json: '2' }))
    const other = { from: 'ann', id: 'm1', hash: 'hash of 2' }
    await assertRefused('id_conflict', () => world.broker.accepted('a', other))
    assert.equal((await world.publish('a', 'm1', { json: '1' })).duplicate, true)
    assert.equal((await world.whole('a')).head, 1)
  })

  test('[P4] payloads are compared by the hash of what arrived, not by what is published', async (create) => {
    await using world = await BrokerWorld.open(create)
    const first = await world.publish('a', 'm1', { json: '{"at":1}', hash: 'as it arrived' })
    const again = await world.publish('a', 'm1', { json: '{"at":2}', hash: 'as it arrived' })
    assert.deepEqual(again, { ...first, duplicate: true })
  })

  test('[P4] the key is user, topic and id', async (create) => {
    await using world = await BrokerWorld.open(create)
    await world.publish('a', 'm1', { json: '1' })
    const others = [
      await world.publish('a', 'm1', { json: '2', from: 'ben' }),
      await world.publish('a', 'm1', { json: '3', from: null }),
      await world.publish('b', 'm1', { json: '4' }),
    ]
    assert.deepEqual(
      others.map(({ seq, duplicate }) => [seq, duplicate]),
      [
        [2, false],
        [3, false],
        [1, false],
      ],
    )
  })

  test('[P4] accepted() tells the first result and changes nothing', async (create) => {
    await using world = await BrokerWorld.open(create)
    const key = { from: 'ann', id: 'm1', hash: 'hash of "m1"' }
    const before = world.broker.stats()
    assert.equal(await world.broker.accepted('a', key), null)
    assert.deepEqual(world.broker.stats(), before)
    const first = await world.publish('a', 'm1')
    assert.deepEqual(await world.broker.accepted('a', key), { ...first, duplicate: true })
    assert.equal(await world.broker.accepted('a', { ...key, from: null }), null)
    assert.equal(await world.broker.accepted('b', key), null)
    assert.equal((await world.whole('a')).head, 1)
  })

  test('[W12] after: only behind an accepted publish of the same user to the same topic', async (create) => {
    await using world = await BrokerWorld.open(create)
    await world.publish('a', 'm1')
    await world.publish('b', 'other-topic')
    await world.publish('a', 'other-user', { from: 'ben' })
    for (const after of ['never-sent', 'other-topic', 'other-user']) {
      assert.equal(await world.broker.follows('a', 'ann', after), false)
      await assertRefused('out_of_order', () => world.publish('a', 'm2', { after }))
    }
    assert.equal(await world.broker.follows('a', 'ann', 'm1'), true)
    assert.equal((await world.publish('a', 'm2', { after: 'm1' })).seq, 3)
    assert.equal((await world.publish('a', 'm3', { after: 'm2' })).seq, 4)
    // A resend is answered before `after` is looked at.
    assert.equal((await world.publish('a', 'm3', { after: 'never-sent' })).duplicate, true)
  })

  test('[P4][W12] a refused publish leaves no trace', async (create) => {
    await using world = await BrokerWorld.open(create)
    const before = world.broker.stats()
    await assertRefused('out_of_order', () => world.publish('a', 'm2', { after: 'm1' }))
    assert.deepEqual(world.broker.stats(), before)
    assert.equal(await world.broker.follows('a', 'ann', 'm2'), false)
    const accepted = await world.publish('a', 'm2')
    assert.deepEqual([accepted.seq, accepted.duplicate], [1, false])
  })

  describeWindow(test)
}

function describeWindow(test: BrokerTest): void {
  test('[L17][P4] an id is remembered for the window, and new behind it', async (create) => {
    await using world = await BrokerWorld.open(create)
    const first = await world.publish('a', 'm1')
    assert.equal(first.windowMs, undefined)
    await world.runtime.advance(WINDOW_MS - 1)
    assert.equal((await world.publish('a', 'm1')).duplicate, true)
    await world.runtime.advance(1)
    assert.equal(await world.broker.follows('a', 'ann', 'm1'), false)
    const later = await world.publish('a', 'm1', { json: '"another payload"' })
    assert.deepEqual([later.seq, later.duplicate], [2, false])
  })

  test('[L17] a resend does not prolong the window', async (create) => {
    await using world = await BrokerWorld.open(create)
    await world.publish('a', 'm1')
    await world.runtime.advance(WINDOW_MS - 1)
    await world.publish('a', 'm1')
    await world.runtime.advance(1)
    assert.equal((await world.publish('a', 'm1')).duplicate, false)
  })

  test('[L17] ids are freed after the window, without further publishes', async (create) => {
    await using world = await BrokerWorld.open(create)
    for (const topic of ['a', 'b', 'c']) await world.publishMany(topic, 20)
    assert.equal(world.broker.stats().idempotencyIds, 60)
    await world.runtime.advance(2 * WINDOW_MS)
    assert.equal(world.broker.stats().idempotencyIds, 0)
  })

  test('[L17] where the number cuts the time short, acknowledgements say how long', async (create) => {
    const maxIdempotencyIds = 160
    await using world = await BrokerWorld.open(create, { limits: { maxIdempotencyIds } })
    const windows: (number | undefined)[] = []
    const accepted: { id: string; topic: string; at: number; windowMs: number | undefined }[] = []
    for (let number = 0; number < 1_000; number += 1) {
      // Ten a second, spread over users and topics: 160 ids are 16 s, far less than the window.
      await world.runtime.advance(100)
      const [topic, id] = [`topic-${number % 7}`, `m${number}`]
      const { windowMs } = await world.publish(topic, id, { from: `user-${number % 3}` })
      accepted.push({ id, topic, at: world.runtime.monotonicNow(), windowMs })
      windows.push(windowMs)
      assert(world.broker.stats().idempotencyIds <= maxIdempotencyIds)
    }
    assert.equal(windows[0], undefined)
    const last = windows.at(-1)
    assert(last !== undefined && last > 10_000 && last <= 16_000, `windowMs was ${last}`)
    assert.equal(world.broker.stats().idempotencyWindowMs, last)
    // What was said holds: every id that is younger than its `windowMs` is still known.
    const now = world.runtime.monotonicNow()
    for (const [number, { id, topic, at, windowMs }] of accepted.entries()) {
      if (windowMs === undefined || now - at >= windowMs) continue
      assert.equal(await world.broker.follows(topic, `user-${number % 3}`, id), true, id)
    }
  })

  test('[P4][L17] opened again it says a new window, or how long it really remembers', async (create) => {
    const limits = { maxIdempotencyIds: 40 }
    const world = await BrokerWorld.open(create, { limits })
    const { runtime, windowEpoch } = world
    const accepted: { id: string; at: number; windowMs: number }[] = []
    for (let number = 1; number <= 100; number += 1) {
      await runtime.advance(1_000)
      const id = `m${number}`
      const { windowMs = WINDOW_MS } = await world.publish('a', id)
      accepted.push({ id, at: runtime.monotonicNow(), windowMs })
    }
    await world.broker.close()

    await using again = await BrokerWorld.open(create, { limits, runtime })
    const told = again.broker.stats().idempotencyWindowMs
    const { windowMs = WINDOW_MS } = await again.publish('a', 'later')
    // Told another epoch, nobody sends anything again.
    if (again.windowEpoch !== windowEpoch) return
    assert(told <= 40_000, `stats() says ${told}`)
    assert(windowMs <= 40_000, `publish() says ${windowMs}`)
    const now = runtime.monotonicNow()
    for (const { id, at } of accepted) {
      if (now - at >= windowMs) continue
      assert.equal(await again.broker.follows('a', 'ann', id), true, id)
    }
  })

  test('[L17] once there is room again, nothing is said of the window any more', async (create) => {
    await using world = await BrokerWorld.open(create, { limits: { maxIdempotencyIds: 10 } })
    const results = await world.publishMany('a', 30)
    assert.equal(results.at(-1)?.windowMs, 0)
    await world.runtime.advance(WINDOW_MS)
    assert.equal((await world.publish('a', 'later')).windowMs, undefined)
    assert.equal(world.broker.stats().idempotencyWindowMs, WINDOW_MS)
  })
}
