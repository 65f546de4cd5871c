import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { AcceptedIds, type AcceptedId, type TopicIds } from './accepted-ids.js'

const WINDOW_MS = 1_000

const acceptedAt = (atMs: number): AcceptedId => ({
  hash: `hash at ${atMs}`,
  seq: 1,
  timestamp: 0,
  deliveredTo: 0,
  atMs,
})

const ids = (maxIds: number): AcceptedIds => new AcceptedIds({ windowMs: WINDOW_MS, maxIds })

const publishes = fc.array(
  fc.record({
    // About as long as slices are, so that they hold some ids, and about as long as the window.
    waitMs: fc.oneof(
      fc.constant(0),
      fc.integer({ min: 0, max: 260 }),
      fc.integer({ min: 600, max: 1_000 }),
    ),
    topic: fc.integer({ min: 0, max: 1 }),
    from: fc.constantFrom(null, 'ann'),
    id: fc.constantFrom('a', 'b'),
    sweep: fc.boolean(),
  }),
  { maxLength: 150 },
)

test('[P4][L17] what was accepted within the window is found, and nothing else', () => {
  fc.assert(
    fc.property(publishes, (tries) => {
      const accepted = ids(1_000)
      const topics: TopicIds[] = [new Map(), new Map()]
      const model = new Map<string, number>()
      let now = 0
      for (const { waitMs, topic, from, id, sweep } of tries) {
        now += waitMs
        if (sweep) accepted.sweep(now, 3)
        const key = `${topic} ${String(from)} ${id}`
        const at = model.get(key)
        const expected = at !== undefined && now - at < WINDOW_MS ? acceptedAt(at) : null
        const topicIds = topics[topic] ?? new Map()
        expect(accepted.find(topicIds, from, id, now)).toEqual(expected)
        if (expected !== null) continue
        accepted.remember(topicIds, { from, id }, acceptedAt(now))
        model.set(key, now)
        expect(accepted.windowMs(now)).toBeUndefined()
      }
      while (accepted.sweep(now + WINDOW_MS, 10)) expect(accepted.size).toBe(0)
      expect([accepted.size, ...topics.map(({ size }) => size)]).toEqual([0, 0, 0])
    }),
    { numRuns: 300 },
  )
})

test('[L17] never more than may be kept, and the youngest are among them', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 40 }), publishes, (maxIds, tries) => {
      const accepted = ids(maxIds)
      const topics: TopicIds[] = [new Map(), new Map()]
      let now = 0
      for (const [number, { waitMs, topic, from }] of tries.entries()) {
        now += waitMs
        const topicIds = topics[topic] ?? new Map()
        accepted.remember(topicIds, { from, id: `m${number}` }, acceptedAt(now))
        expect(accepted.size).toBeLessThanOrEqual(maxIds)
        expect(accepted.find(topicIds, from, `m${number}`, now)).not.toBeNull()
      }
    }),
  )
})

describe('[L17] where the number cuts the time short', () => {
  test('[L17] at an even rate, what is said of the window holds for everything accepted afterwards', () => {
    const accepted = ids(100)
    const topic: TopicIds = new Map()
    const said: { at: number; windowMs: number | undefined }[] = []
    for (let now = 0; now < 5_000; now += 1) {
      accepted.remember(topic, { from: 'ann', id: `m${now}` }, acceptedAt(now))
      said.push({ at: now, windowMs: accepted.windowMs(now) })
      // At most a quarter of the ids goes at once: three quarters of the possible time remain.
      const { at, windowMs = 0 } = said[Math.max(0, now - 74)] ?? { at: 0 }
      expect(now < 500 || windowMs >= 75).toBe(true)
      expect(accepted.find(topic, 'ann', `m${at}`, now)).not.toBeNull()
    }
    expect(said.slice(0, 100).every(({ windowMs }) => windowMs === undefined)).toBe(true)
    expect(said.slice(110).every(({ windowMs }) => windowMs !== undefined && windowMs <= 100)).toBe(
      true,
    )
  })

  test('[L17] what slows down is told the longer window', () => {
    const accepted = ids(100)
    const topic: TopicIds = new Map()
    let now = 0
    const publishFor = (count: number, everyMs: number): void => {
      for (let number = 0; number < count; number += 1) {
        now += everyMs
        accepted.remember(topic, { from: 'ann', id: `m${now}` }, acceptedAt(now))
      }
    }
    publishFor(500, 1)
    const quick = accepted.windowMs(now)
    publishFor(500, 5)
    const slow = accepted.windowMs(now)
    expect(quick).toBeLessThanOrEqual(100)
    expect(slow).toBeGreaterThan(300)
    publishFor(100, 20)
    expect(accepted.windowMs(now)).toBeUndefined()
  })

  test('[L17] a topic that is forgotten before its time cuts it, too', () => {
    const accepted = ids(100)
    const topic: TopicIds = new Map()
    accepted.remember(topic, { from: 'ann', id: 'm1' }, acceptedAt(0))
    accepted.remember(topic, { from: 'ann', id: 'm2' }, acceptedAt(100))
    accepted.forget(topic, 400)
    expect(accepted.find(topic, 'ann', 'm2', 400)).toBeNull()
    expect(accepted.windowMs(400)).toBe(300)
    expect(accepted.windowMs(1_399)).toBe(300)
    expect(accepted.windowMs(1_400)).toBeUndefined()
  })

  test('[L17] a topic whose ids are past the window cuts nothing', () => {
    const accepted = ids(100)
    const topic: TopicIds = new Map()
    accepted.remember(topic, { from: 'ann', id: 'm1' }, acceptedAt(0))
    accepted.forget(topic, 1_000)
    expect(accepted.windowMs(1_000)).toBeUndefined()
  })
})

test('[L17] forgetting topics again and again holds nothing of them', () => {
  const accepted = ids(100)
  for (let number = 0; number < 10_000; number += 1) {
    const topic: TopicIds = new Map()
    accepted.remember(topic, { from: 'ann', id: 'm' }, acceptedAt(0))
    accepted.forget(topic, 0)
    expect(accepted.size).toBeLessThanOrEqual(100)
    expect(topic.size).toBe(0)
  }
})

test('[L17] what is over the number is not found, though it is still being taken apart', () => {
  const accepted = ids(100)
  const topic: TopicIds = new Map()
  for (let number = 0; number <= 100; number += 1) {
    accepted.remember(topic, { from: `user-${number}`, id: 'm' }, acceptedAt(0))
  }
  const found = Array.from({ length: 101 }, (_, number) =>
    accepted.find(topic, `user-${number}`, 'm', 0),
  )
  expect(found.filter((id) => id !== null)).toHaveLength(accepted.size)
  expect(found.indexOf(found.find((id) => id !== null) ?? null)).toBe(101 - accepted.size)
})

test('[L17] new ids free those that are past the window, without a sweep', () => {
  const accepted = ids(1_000)
  const old: TopicIds = new Map()
  for (let number = 0; number < 100; number += 1) {
    accepted.remember(old, { from: `user-${number}`, id: 'm' }, acceptedAt(0))
  }
  const present: TopicIds = new Map()
  for (let number = 1; number <= 50; number += 1) {
    accepted.remember(present, { from: 'ann', id: `m${number}` }, acceptedAt(WINDOW_MS))
    expect(accepted.size).toBe(number)
  }
  expect([old.size, present.size]).toEqual([0, 1])
})

test('[P7] many ids of one user in one topic are all found, and freed in small steps', () => {
  const accepted = ids(1_000_000)
  const topic: TopicIds = new Map()
  const count = 60_000
  for (let number = 0; number < count; number += 1) {
    accepted.remember(topic, { from: null, id: `m${number}` }, acceptedAt(0))
  }
  const numbers = Array.from({ length: count }, (_, number) => number)
  const lost = numbers.filter((number) => accepted.find(topic, null, `m${number}`, 999) === null)
  expect(lost).toEqual([])
  expect(accepted.find(topic, null, `m${count}`, 999)).toBeNull()
  expect(accepted.size).toBe(count)
  expect(accepted.sweep(1_000, 1)).toBe(true)
  expect(accepted.size).toBe(0)
  expect(accepted.find(topic, null, 'm1', 1_000)).toBeNull()
})
