import assert from 'node:assert/strict'
import type { ReadQuery, StreamPage } from '../broker/broker.js'
import { BrokerWorld, idsOf, KEEP_ALL, WHOLE, type BrokerTest } from './broker-world.js'

/** Law 5: pages, their ends, and what is said to be missing. */
export function describeReading(test: BrokerTest): void {
  test('[W13] without since: the newest, ascending; more says that there are older ones', async (create) => {
    await using world = await BrokerWorld.open(create)
    await world.publishMany('a', 5)
    const read = readerOf(world)
    assert.deepEqual(await read({ limit: 2 }), {
      ids: ['m4', 'm5'],
      more: true,
      head: 5,
      gap: null,
    })
    assert.deepEqual(await read({ limit: 5 }), { ids: ALL, more: false, head: 5, gap: null })
    assert.deepEqual(await read({ limit: 9 }), { ids: ALL, more: false, head: 5, gap: null })
  })

  test('[W13] before: the newest before it, by seq or by position', async (create) => {
    await using world = await BrokerWorld.open(create)
    const epoch = (await world.publishMany('a', 5))[0]?.epoch ?? ''
    const read = readerOf(world)
    for (const before of [4, { epoch, seq: 4 }]) {
      const page = await read({ before, limit: 2 })
      assert.deepEqual(page, { ids: ['m2', 'm3'], more: true, head: 5, gap: null })
    }
    assert.deepEqual((await read({ before: 2 })).ids, ['m1'])
    assert.deepEqual(await read({ before: 1 }), { ids: [], more: false, head: 5, gap: null })
    assert.deepEqual((await read({ before: 0 })).ids, [])
    assert.deepEqual((await read({ before: 99 })).ids, ALL)
  })

  test('[W13] a before of another epoch is answered like none, and said to be', async (create) => {
    await using world = await BrokerWorld.open(create)
    const epoch = (await world.publishMany('a', 5))[0]?.epoch ?? ''
    const gap = { from: null, to: null, epoch, reason: 'epoch_changed' }
    const page = await readerOf(world)({ before: { epoch: 'another', seq: 3 }, limit: 2 })
    assert.deepEqual(page, { ids: ['m4', 'm5'], more: true, head: 5, gap })
  })

  test('[W13] since: the oldest after it; with before, those that are before it', async (create) => {
    await using world = await BrokerWorld.open(create)
    const epoch = (await world.publishMany('a', 5))[0]?.epoch ?? ''
    const read = readerOf(world)
    const since = { epoch, seq: 1 }
    const first = await read({ since, limit: 2 })
    assert.deepEqual(first, { ids: ['m2', 'm3'], more: true, head: 5, gap: null })
    assert.deepEqual(await read({ since: { epoch, seq: 3 }, limit: 2 }), {
      ...first,
      ids: ['m4', 'm5'],
      more: false,
    })
    assert.deepEqual((await read({ since: { epoch, seq: 5 } })).ids, [])
    assert.deepEqual(await read({ since, before: 4 }), { ...first, more: false })
    assert.deepEqual(await read({ since, before: 5, limit: 2 }), first)
    assert.deepEqual((await read({ since, before: 2 })).ids, [])
  })

  test('[P2] page by page with since gives every publication once, while others come', async (create) => {
    await using world = await BrokerWorld.open(create)
    const { position } = await world.broker.subscribers('a', 0)
    await world.publishMany('a', 100)
    const seen: string[] = []
    let since = position
    for (let more = true, late = 0; more;) {
      const page = await world.broker.read('a', { since, limit: 7, maxBytes: 1_000 })
      assert.equal(page.gap, null)
      seen.push(...idsOf(page))
      since = { epoch: page.epoch, seq: page.publications.at(-1)?.seq ?? since.seq }
      if (late < 10) await world.publish('a', `late${(late += 1)}`)
      more = page.more
    }
    const expected = Array.from({ length: 100 }, (_, index) => `m${index + 1}`)
    const late = Array.from({ length: 10 }, (_, index) => `late${index + 1}`)
    assert.deepEqual(seen, [...expected, ...late])
  })

  test('[L16] a page ends at its bytes; one larger publication goes alone', async (create) => {
    await using world = await BrokerWorld.open(create)
    const large = JSON.stringify('x'.repeat(100))
    const { epoch } = await world.publish('a', 'm1', { json: '1234' })
    await world.publish('a', 'm2', { json: '1234' })
    await world.publish('a', 'm3', { json: large })
    await world.publish('a', 'm4', { json: '1234' })
    const after = (seq: number) => ({ since: { epoch, seq }, maxBytes: 8 })
    const read = readerOf(world)
    const expected = { ids: ['m1', 'm2'], more: true, head: 4, gap: null }
    assert.deepEqual(await read(after(0)), expected)
    assert.deepEqual(await read({ ...after(0), maxBytes: 7 }), { ...expected, ids: ['m1'] })
    assert.deepEqual(await read(after(2)), { ...expected, ids: ['m3'] })
    assert.deepEqual(await read(after(3)), { ...expected, ids: ['m4'], more: false })
    assert.deepEqual(await read({ maxBytes: 8, before: 4 }), { ...expected, ids: ['m3'] })
    assert.deepEqual(await read({ maxBytes: 8, before: 3 }), { ...expected, more: false })
  })

  test('[L16] a limit of 0 reads nothing and says whether there is more', async (create) => {
    await using world = await BrokerWorld.open(create)
    const { epoch } = await world.publish('a', 'm1')
    const read = readerOf(world)
    assert.deepEqual(await read({ limit: 0, since: { epoch, seq: 0 } }), {
      ids: [],
      more: true,
      head: 1,
      gap: null,
    })
    assert.equal((await read({ limit: 0, since: { epoch, seq: 1 } })).more, false)
    assert.equal((await read({ limit: 0 })).more, true)
  })

  describeGaps(test)
}

const ALL = ['m1', 'm2', 'm3', 'm4', 'm5']

/** Reads topic `a`, and shows what matters of the page. */
function readerOf(world: BrokerWorld) {
  return async (query: Partial<ReadQuery>) => {
    const page: StreamPage = await world.broker.read('a', { ...WHOLE, ...query })
    return { ids: idsOf(page), more: page.more, head: page.head, gap: page.gap }
  }
}

function describeGaps(test: BrokerTest): void {
  test('[P3] a since that is too old: one expired gap, then what is retained', async (create) => {
    await using world = await BrokerWorld.open(create)
    const policy = { ...KEEP_ALL, size: 3 }
    const epoch = (await world.publishMany('a', 10, { policy }))[0]?.epoch ?? ''
    const read = readerOf(world)
    assert.deepEqual(await read({ since: { epoch, seq: 2 } }), {
      ids: ['m8', 'm9', 'm10'],
      more: false,
      head: 10,
      gap: { from: 3, to: 7, epoch, reason: 'expired' },
    })
    // Exactly where the retained ones begin, nothing is missing.
    assert.equal((await read({ since: { epoch, seq: 7 } })).gap, null)
    assert.deepEqual((await read({ since: { epoch, seq: 6 } })).gap, {
      from: 7,
      to: 7,
      epoch,
      reason: 'expired',
    })
    const paged = await read({ since: { epoch, seq: 2 }, limit: 1 })
    assert.deepEqual([paged.ids, paged.more, paged.gap?.to], [['m8'], true, 7])
  })

  test('[P3] a since of another epoch, or ahead: the present epoch from its first on', async (create) => {
    await using world = await BrokerWorld.open(create)
    const epoch = (await world.publishMany('a', 3))[0]?.epoch ?? ''
    const read = readerOf(world)
    const expected = {
      ids: ['m1', 'm2', 'm3'],
      more: false,
      head: 3,
      gap: { from: null, to: null, epoch, reason: 'epoch_changed' },
    }
    for (const since of [
      { epoch: 'another', seq: 2 },
      { epoch: '', seq: 0 },
      { epoch, seq: 4 },
    ]) {
      assert.deepEqual(await read({ since }), expected)
    }
    assert.equal((await read({ since: { epoch, seq: 3 } })).gap, null)
  })

  test('[P3] where the new epoch has lost its first ones, too, the gap names the last of them', async (create) => {
    await using world = await BrokerWorld.open(create)
    const policy = { ...KEEP_ALL, size: 2 }
    const epoch = (await world.publishMany('a', 5, { policy }))[0]?.epoch ?? ''
    const page = await readerOf(world)({ since: { epoch: 'another', seq: 9 } })
    assert.deepEqual(page.gap, { from: null, to: 3, epoch, reason: 'epoch_changed' })
    assert.deepEqual(page.ids, ['m4', 'm5'])
  })

  test('[P3] a topic that nothing is known of does not have what somebody has seen of it', async (create) => {
    await using world = await BrokerWorld.open(create)
    const { position } = await world.broker.subscribers('a', 0)
    const page = await readerOf(world)({ since: { epoch: position.epoch, seq: 1 } })
    const gap = { from: null, to: null, epoch: position.epoch, reason: 'epoch_changed' }
    assert.deepEqual(page, { ids: [], more: false, head: 0, gap })
  })
}
