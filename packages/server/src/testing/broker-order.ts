import assert from 'node:assert/strict'
import {
  assertRefused,
  BrokerWorld,
  EPHEMERAL,
  idsOf,
  WHOLE,
  type BrokerTest,
} from './broker-world.js'

/** Laws 1, 2 and 6: order, durability before announcement, who is told. */
export function describeOrder(test: BrokerTest, facts: { survivesRestart: boolean }): void {
  test('[P1] seq grows by exactly 1 from 1, and announcements come in that order', async (create) => {
    await using world = await BrokerWorld.open(create)
    const ids = Array.from({ length: 50 }, (_, index) => `m${index}`)
    const results = await Promise.all(ids.map((id) => world.publish('a', id)))
    await world.heardOf('m49')
    assert.deepEqual(
      results.map(({ seq }) => seq),
      ids.map((_, index) => index + 1),
    )
    assert.equal(new Set(results.map(({ epoch }) => epoch)).size, 1)
    assert.deepEqual(world.heardIds('a'), ids)
    assert.deepEqual(
      world.heard.map(({ seq }) => seq),
      results.map(({ seq }) => seq),
    )
  })

  test('[P1] each topic has a sequence of its own', async (create) => {
    await using world = await BrokerWorld.open(create)
    await world.publishMany('a', 3)
    const first = await world.publish('b', 'b1')
    const fourth = await world.publish('a', 'm4')
    assert.deepEqual([first.seq, fourth.seq], [1, 4])
  })

  test('[P1] what is published within an announcement is announced after it', async (create) => {
    await using world = await BrokerWorld.open(create)
    let depth = 0
    let deepest = 0
    const nested: Promise<unknown>[] = []
    world.onHeard = ({ id }) => {
      depth += 1
      deepest = Math.max(deepest, depth)
      if (id === 'm1') nested.push(world.publish('a', 'm2'), world.publish('a', 'm3'))
      depth -= 1
    }
    await world.publish('a', 'm1')
    await world.heardOf('m3')
    await Promise.all(nested)
    assert.equal(deepest, 1)
    assert.deepEqual(world.heardIds('a'), ['m1', 'm2', 'm3'])
  })

  test('[P6] what is announced can be read, and is what was acknowledged', async (create) => {
    await using world = await BrokerWorld.open(create)
    const pages: Promise<unknown>[] = []
    world.onHeard = ({ topic, seq, epoch }) => {
      const since = { epoch, seq: seq - 1 }
      const page = Promise.resolve(world.broker.read(topic, { ...WHOLE, since }))
      pages.push(page.then((read) => assert.equal(read.publications[0]?.seq, seq)))
    }
    const accepted = await world.publish('a', 'm1', { from: null, json: '{"text":"grüß"}' })
    await world.heardOf('m1')
    await Promise.all(pages)
    const expected = {
      topic: 'a',
      id: 'm1',
      from: null,
      seq: accepted.seq,
      epoch: accepted.epoch,
      payloadJson: '{"text":"grüß"}',
      payloadBytes: 17,
      timestamp: world.runtime.wallNow(),
    }
    assert.deepEqual({ ...world.heard[0] }, expected)
    assert.deepEqual({ ...(await world.whole('a')).publications[0] }, expected)
    assert.equal(accepted.timestamp, expected.timestamp)
  })

  test('[P9] everything after the position that subscribers() gave is announced', async (create) => {
    await using world = await BrokerWorld.open(create)
    await world.publish('a', 'm1')
    const { position } = await world.broker.subscribers('a', 1)
    assert.equal(position.seq, 1)
    const second = await world.publish('a', 'm2')
    await world.heardOf('m2')
    assert.equal(second.epoch, position.epoch)
    const later = world.heard.filter(({ seq }) => seq > position.seq)
    assert.deepEqual(
      later.map(({ id }) => id),
      ['m2'],
    )
  })

  test('[P9][L2] a topic keeps the position that its subscribers were given, whatever is forgotten meanwhile', async (create) => {
    await using world = await BrokerWorld.open(create)
    await world.publish('old', 'm1')
    await world.runtime.advance(4 * DAY_MS)
    const { position } = await world.broker.subscribers('new', 1)
    await world.runtime.advance(4 * DAY_MS)
    const { epoch, seq } = await world.publish('new', 'm1')
    assert.deepEqual({ epoch, seq: seq - 1 }, position)
  })

  test('[W12][W10] deliveredTo counts the live subscribers at append; a resend tells the first count', async (create) => {
    await using world = await BrokerWorld.open(create)
    assert.equal((await world.publish('a', 'm1')).deliveredTo, 0)
    assert.equal((await world.broker.subscribers('a', 3, 2)).total, 3)
    assert.equal((await world.publish('a', 'm2')).deliveredTo, 2)
    assert.equal((await world.broker.subscribers('a', 4)).total, 4)
    assert.equal((await world.publish('a', 'm3')).deliveredTo, 4)
    assert.equal((await world.broker.subscribers('a', 0)).total, 0)
    assert.equal((await world.publish('a', 'm4')).deliveredTo, 0)
    assert.equal((await world.publish('a', 'm2')).deliveredTo, 2)
  })

  test('[P11] an ephemeral draft is announced and forgotten', async (create) => {
    await using world = await BrokerWorld.open(create)
    await world.broker.subscribers('typing', 2)
    const before = world.broker.stats()
    for (const json of ['1', '2']) {
      const accepted = await world.publish('typing', 'same-id', { json, policy: EPHEMERAL })
      const { epoch, seq, duplicate, deliveredTo } = accepted
      assert.deepEqual({ epoch, seq, duplicate, deliveredTo }, { ...NOWHERE, ...SEEN_BY_TWO })
    }
    await world.publish('typing', 'last', { policy: EPHEMERAL, after: 'never' })
    await world.heardOf('last')
    assert.deepEqual(world.heardIds('typing'), ['same-id', 'same-id', 'last'])
    assert.deepEqual(
      world.heard.map(({ seq, epoch }) => ({ seq, epoch })),
      [NOWHERE, NOWHERE, NOWHERE],
    )
    assert.equal(await world.broker.follows('typing', 'ann', 'last'), false)
    assert.deepEqual(world.broker.stats(), before)
    assert.equal((await world.broker.subscribers('typing', 2)).position.seq, 0)
  })

  test('[P6] a closed broker takes nothing, and says so', async (create) => {
    const world = await BrokerWorld.open(create)
    await world.publish('a', 'm1')
    await world.broker.subscribers('a', 1)
    assert.deepEqual(world.states, ['up'])
    await world.broker.close()
    await world.broker.close()
    assert.deepEqual(world.states, ['up', 'down'])
    assert.equal(world.runtime.pendingTimers, 0)
    await assertRefused('broker_unavailable', () => world.publish('a', 'm2'))
    await assertRefused('broker_unavailable', () => world.publish('a', 'm3', { policy: EPHEMERAL }))
    await assertRefused('broker_unavailable', () => world.whole('a'))
    await assertRefused('broker_unavailable', () => world.broker.subscribers('a', 2))
    await world.broker.subscribers('a', 0)
    assert.deepEqual(world.heardIds('a'), ['m1'])
  })

  describeRestart(test, facts)
}

const DAY_MS = 24 * 60 * 60_000
const NOWHERE = { epoch: '', seq: 0 }
const SEEN_BY_TWO = { duplicate: false, deliveredTo: 2 }

function describeRestart(
  test: BrokerTest,
  { survivesRestart }: { survivesRestart: boolean },
): void {
  test('[P3][P4][P6] a restart keeps everything, or says by epochs that it did not', async (create) => {
    const first = await BrokerWorld.open(create)
    const { epoch } = await first.publish('a', 'm1')
    const unknown = await first.broker.subscribers('unknown', 0)
    await first.broker.close()
    await using second = await BrokerWorld.open(create, { runtime: first.runtime })
    const page = await second.broker.read('a', { ...WHOLE, since: { epoch, seq: 1 } })
    const again = await second.broker.subscribers('unknown', 0)
    if (survivesRestart) {
      assert.equal(second.windowEpoch, first.windowEpoch)
      assert.deepEqual([page.epoch, page.head, page.gap], [epoch, 1, null])
      assert.deepEqual(idsOf(await second.whole('a')), ['m1'])
      assert.equal((await second.publish('a', 'm1')).duplicate, true)
      assert.equal((await second.publish('a', 'm2')).seq, 2)
      assert.deepEqual(again.position, unknown.position)
    } else {
      assert.notEqual(second.windowEpoch, first.windowEpoch)
      assert.notEqual(page.epoch, epoch)
      assert.equal(page.gap?.reason, 'epoch_changed')
      assert.notEqual(again.position.epoch, unknown.position.epoch)
    }
  })
}
