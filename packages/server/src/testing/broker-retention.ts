import assert from 'node:assert/strict'
import { BrokerWorld, idsOf, KEEP_ALL, WHOLE, type BrokerTest } from './broker-world.js'

const DAY_MS = 24 * 60 * 60_000

/** Law 4: what is kept, what goes first, and how positions end. */
export function describeRetention(test: BrokerTest): void {
  test('[L2] of more than `size` publications the oldest go', async (create) => {
    await using world = await BrokerWorld.open(create)
    await world.publishMany('a', 200, { policy: { ...KEEP_ALL, size: 3 } })
    const page = await world.whole('a')
    assert.deepEqual(idsOf(page), ['m198', 'm199', 'm200'])
    assert.equal(page.head, 200)
    assert.equal(world.broker.stats().retainedMessages, 3)
  })

  test('[L2] of more than `bytes` payload bytes the oldest go', async (create) => {
    await using world = await BrokerWorld.open(create)
    const policy = { ...KEEP_ALL, bytes: 10 }
    for (const id of ['m1', 'm2', 'm3']) await world.publish('a', id, { json: '"ää"', policy })
    assert.deepEqual(idsOf(await world.whole('a')), ['m3'])
    await world.publish('a', 'm4', { json: '1234', policy })
    assert.deepEqual(idsOf(await world.whole('a')), ['m3', 'm4'])
    await world.publish('a', 'm5', { json: '12345678901', policy })
    const page = await world.whole('a')
    assert.deepEqual([idsOf(page), page.head], [[], 5])
  })

  test('[L2] what is older than `ttlMs` by a clock that never jumps goes', async (create) => {
    await using world = await BrokerWorld.open(create)
    const policy = { ...KEEP_ALL, ttlMs: 1_000 }
    const { epoch } = await world.publish('a', 'm1', { policy })
    await world.runtime.advance(600)
    await world.publish('a', 'm2', { policy })
    world.runtime.setWall(world.runtime.wallNow() + DAY_MS)
    assert.deepEqual(idsOf(await world.whole('a')), ['m1', 'm2'])
    world.runtime.setWall(world.runtime.wallNow() - 2 * DAY_MS)
    await world.runtime.advance(399)
    assert.deepEqual(idsOf(await world.whole('a')), ['m1', 'm2'])
    await world.runtime.advance(1)
    const page = await world.broker.read('a', { ...WHOLE, since: { epoch, seq: 0 } })
    assert.deepEqual(idsOf(page), ['m2'])
    assert.deepEqual(page.gap, { from: 1, to: 1, epoch, reason: 'expired' })
  })

  test('[L2] expired publications are freed, without anybody reading', async (create) => {
    await using world = await BrokerWorld.open(create)
    for (const topic of ['a', 'b']) {
      await world.publishMany(topic, 10, { policy: { ...KEEP_ALL, ttlMs: 1_000 } })
    }
    assert.equal(world.broker.stats().retainedMessages, 20)
    await world.runtime.advance(5 * 60_000)
    const { retainedMessages, retainedBytes, streams } = world.broker.stats()
    assert.deepEqual([retainedMessages, retainedBytes, streams], [0, 0, 2])
  })

  for (const part of ['size', 'ttlMs', 'bytes'] as const) {
    test(`[L2] ${part} 0 keeps nothing but the position and the accepted id`, async (create) => {
      await using world = await BrokerWorld.open(create)
      const policy = { ...KEEP_ALL, [part]: 0 }
      const [first, second] = await world.publishMany('a', 2, { policy })
      await world.heardOf('m2')
      assert.deepEqual([first?.seq, second?.seq], [1, 2])
      assert.equal((await world.publish('a', 'm2', { policy })).duplicate, true)
      const page = await world.whole('a')
      assert.deepEqual([page.head, idsOf(page), page.more], [2, [], false])
      const epoch = first?.epoch ?? ''
      const missed = await world.broker.read('a', { ...WHOLE, since: { epoch, seq: 0 } })
      assert.deepEqual(missed.gap, { from: 1, to: 2, epoch, reason: 'expired' })
    })
  }

  describePositions(test)
  describeRetainedBytes(test)
}

function describePositions(test: BrokerTest): void {
  test('[L2] a topic that nothing is known of has the base epoch and seq 0, and stores nothing', async (create) => {
    await using world = await BrokerWorld.open(create)
    const before = world.broker.stats()
    const { position } = await world.broker.subscribers('a', 1)
    assert.equal(position.seq, 0)
    assert.notEqual(position.epoch, '')
    const page = await world.broker.read('b', { ...WHOLE, since: position })
    assert.deepEqual([page.epoch, page.head, page.gap, page.more], [position.epoch, 0, null, false])
    await world.broker.subscribers('a', 0)
    assert.deepEqual((await world.broker.subscribers('c', 0)).position, position)
    assert.deepEqual(world.broker.stats(), before)
  })

  test('[L2][P2] nothing is missing for who came before the first publication', async (create) => {
    await using world = await BrokerWorld.open(create)
    const { position } = await world.broker.subscribers('a', 0)
    await world.publishMany('a', 2)
    const page = await world.broker.read('a', { ...WHOLE, since: position })
    assert.deepEqual([idsOf(page), page.gap], [['m1', 'm2'], null])
  })

  test('[L2] a position is known for 7 idle days; then the base epoch is new, and known streams keep theirs', async (create) => {
    await using world = await BrokerWorld.open(create)
    const old = await world.publish('old', 'm1')
    const kept = await world.publish('kept', 'm1')
    await world.runtime.advance(6 * DAY_MS)
    assert.equal((await world.publish('kept', 'm2')).epoch, kept.epoch)
    const before = await world.broker.subscribers('unknown', 0)
    await world.runtime.advance(DAY_MS - 60_000)
    assert.equal(
      (await world.broker.subscribers('unknown', 0)).position.epoch,
      before.position.epoch,
    )
    assert.equal(world.broker.stats().streams, 2)
    await world.runtime.advance(2 * 60 * 60_000)
    assert.equal(world.broker.stats().streams, 1)

    const base = await world.broker.subscribers('unknown', 0)
    assert.notEqual(base.position.epoch, before.position.epoch)
    assert.notEqual(base.position.epoch, old.epoch)
    const page = await world.broker.read('old', { ...WHOLE, since: { epoch: old.epoch, seq: 1 } })
    assert.deepEqual([page.epoch, page.head], [base.position.epoch, 0])
    assert.deepEqual(page.gap?.reason, 'epoch_changed')
    const again = await world.publish('old', 'm1')
    assert.deepEqual([again.epoch, again.seq, again.duplicate], [base.position.epoch, 1, false])
    assert.equal((await world.publish('kept', 'm3')).epoch, kept.epoch)
  })

  test('[L2] a topic with subscribers is not idle', async (create) => {
    await using world = await BrokerWorld.open(create)
    const { epoch } = await world.publish('a', 'm1')
    await world.broker.subscribers('a', 1)
    await world.runtime.advance(20 * DAY_MS)
    const next = await world.publish('a', 'm2')
    assert.deepEqual([next.epoch, next.seq], [epoch, 2])
    // The seven days begin when the last one has left.
    await world.broker.subscribers('a', 0)
    await world.runtime.advance(6 * DAY_MS)
    assert.equal((await world.broker.subscribers('a', 0)).position.epoch, epoch)
  })
}

function describeRetainedBytes(test: BrokerTest): void {
  const payload = JSON.stringify('x'.repeat(1_022))
  const filled = async (world: BrokerWorld, topic: string, count: number): Promise<string> => {
    const [first] = await world.publishMany(topic, count, { json: payload, prefix: `${topic}-` })
    return first?.epoch ?? ''
  }

  test('[L18] past the bytes of the broker, the streams longest unused lose theirs first', async (create) => {
    const maxRetainedBytes = 64 * 1_024
    await using world = await BrokerWorld.open(create, { limits: { maxRetainedBytes } })
    const epoch = await filled(world, 'first', 20)
    await filled(world, 'second', 20)
    // Reading is a use, too: now the second one is longest unused.
    await world.broker.read('first', { ...WHOLE, since: { epoch, seq: 19 } })
    await filled(world, 'third', 20)
    assert(world.broker.stats().retainedBytes <= maxRetainedBytes)
    assert.equal((await world.whole('first')).publications.length, 20)
    assert.equal((await world.whole('third')).publications.length, 20)
    const second = await world.whole('second')
    assert(second.publications.length < 20)
    assert.equal(second.head, 20)
  })

  test('[L18][P3] what went is announced as expired, from where it is missing to where it goes on', async (create) => {
    const maxRetainedBytes = 32 * 1_024
    await using world = await BrokerWorld.open(create, { limits: { maxRetainedBytes } })
    const epoch = await filled(world, 'a', 100)
    assert(world.broker.stats().retainedBytes <= maxRetainedBytes)
    const page = await world.broker.read('a', { ...WHOLE, since: { epoch, seq: 10 } })
    const oldest = page.publications[0]?.seq ?? 0
    assert(oldest > 11 && oldest <= 100)
    assert.deepEqual(page.gap, { from: 11, to: oldest - 1, epoch, reason: 'expired' })
    assert.equal(page.publications.length, 100 - oldest + 1)
  })

  test('[L18] a stream without subscribers gives way to one that has some', async (create) => {
    const maxRetainedBytes = 64 * 1_024
    await using world = await BrokerWorld.open(create, { limits: { maxRetainedBytes } })
    await world.broker.subscribers('followed', 1)
    await filled(world, 'followed', 20)
    await filled(world, 'second', 20)
    await filled(world, 'third', 20)
    assert.equal((await world.whole('followed')).publications.length, 20)
  })
}
