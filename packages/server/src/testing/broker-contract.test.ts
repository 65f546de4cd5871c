import type { Gap } from '@bmt-central/realtime-protocol'
import { describe, expect, test } from 'vitest'
import type { Broker, BrokerSink, StreamPage } from '../broker/broker.js'
import { MemoryBroker } from '../broker/memory-broker.js'
import type { Publication } from '../publication.js'
import { brokerContract } from './broker-contract.js'

/** A broker that does everything as `inner` does, but for one fault. */
type Fault = (inner: Broker) => Partial<Broker>

function faulty(fault: Fault): Broker {
  const inner = new MemoryBroker()
  return {
    start: (sink, context) => inner.start(sink, context),
    publish: (topic, draft, policy) => inner.publish(topic, draft, policy),
    accepted: (topic, key) => inner.accepted(topic, key),
    follows: (topic, from, after) => inner.follows(topic, from, after),
    subscribers: (topic, local, live) => inner.subscribers(topic, local, live),
    read: (topic, query) => inner.read(topic, query),
    stats: () => inner.stats(),
    close: () => inner.close(),
    ...fault(inner),
  }
}

/** The titles of the suite's tests that a broker does not pass. */
async function failuresOf(fault: Fault, about: RegExp): Promise<string[]> {
  const tests: { title: string; run: () => Promise<void> }[] = []
  brokerContract(() => faulty(fault), {
    test: (title, run) => void tests.push({ title, run }),
    survivesRestart: false,
  })
  const failures: string[] = []
  for (const { title, run } of tests.filter((each) => about.test(each.title))) {
    await run().catch(() => failures.push(title))
  }
  return failures
}

/** A sink between the broker and who listens. */
const through =
  (inner: Broker, change: (sink: BrokerSink) => Partial<BrokerSink>): Broker['start'] =>
  (sink, context) =>
    inner.start({ ...delegate(sink), ...change(sink) }, context)

const delegate = (sink: BrokerSink): BrokerSink => ({
  publication: (publication) => sink.publication(publication),
  lost: (topic) => sink.lost(topic),
  state: (state) => sink.state(state),
})

const page = async (
  inner: Broker,
  [topic, query]: Parameters<Broker['read']>,
  change: (page: StreamPage) => Partial<StreamPage>,
): Promise<StreamPage> => {
  const read = await inner.read(topic, query)
  return { ...read, ...change(read) }
}

const moved = (gap: Gap | null, by: number): Gap | null =>
  gap === null ? null : { ...gap, to: gap.to === null ? null : gap.to + by }

/** One fault each, and the promise that it breaks. */
const FAULTS: [string, RegExp, Fault][] = [
  [
    'announces a resend again',
    /^\[P4\] a resend gives/,
    (inner) => {
      const heard = new Map<string, Publication>()
      let sink: BrokerSink | null = null
      return {
        start: (given, context) => {
          sink = given
          const hear = (publication: Publication): void => {
            heard.set(publication.id, publication)
            given.publication(publication)
          }
          return inner.start({ ...delegate(given), publication: hear }, context)
        },
        publish: async (topic, draft, policy) => {
          const accepted = await inner.publish(topic, draft, policy)
          const first = heard.get(draft.id)
          if (accepted.duplicate && first !== undefined) sink?.publication(first)
          return accepted
        },
      }
    },
  ],
  [
    'does not compare hashes',
    /^\[P4\] the same id with another payload/,
    (inner) => ({
      publish: (topic, draft, policy) => inner.publish(topic, { ...draft, hash: '' }, policy),
      accepted: (topic, key) => inner.accepted(topic, { ...key, hash: '' }),
    }),
  ],
  [
    'tells resends of one user from those of another by nothing',
    /^\[P4\] the key is/,
    (inner) => ({
      publish: (topic, draft, policy) => inner.publish(topic, { ...draft, from: 'x' }, policy),
    }),
  ],
  [
    'remembers for ever',
    /^\[L17\]\[P4\] an id is remembered/,
    (inner) => ({
      start: (sink, context) =>
        inner.start(sink, {
          ...context,
          limits: { ...context.limits, idempotencyWindowMs: 1_000_000_000 },
        }),
    }),
  ],
  [
    'remembers no more than a moment',
    /^\[L17\]\[P4\] an id is remembered/,
    (inner) => ({
      start: (sink, context) =>
        inner.start(sink, { ...context, limits: { ...context.limits, idempotencyWindowMs: 1 } }),
    }),
  ],
  [
    'keeps quiet about a shorter window',
    /^\[L17\] where the number/,
    (inner) => ({
      publish: async (topic, draft, policy) => {
        const { windowMs: _kept, ...accepted } = await inner.publish(topic, draft, policy)
        return accepted
      },
    }),
  ],
  [
    'does not look at `after`',
    /^\[W12\] after/,
    (inner) => ({
      publish: (topic, { after: _ignored, ...draft }, policy) =>
        inner.publish(topic, draft, policy),
    }),
  ],
  [
    'lets everything follow everything',
    /^\[W12\] after/,
    (inner) => ({ follows: (topic, from) => inner.follows(topic, from, 'm1') }),
  ],
  [
    'announces before it retains',
    /^\[P6\] what is announced/,
    (inner) => {
      let sink: BrokerSink | null = null
      return {
        start: (given, context) => {
          sink = given
          return inner.start({ ...delegate(given), publication: () => undefined }, context)
        },
        publish: (topic, draft, policy) => {
          const { id, from, payloadJson, payloadBytes } = draft
          const { position } = inner.subscribers(topic, 0) as { position: { epoch: string } }
          const { epoch } = position
          const early = { topic, id, from, payloadJson, payloadBytes, epoch, seq: 1, timestamp: 0 }
          sink?.publication(early)
          return inner.publish(topic, draft, policy)
        },
      }
    },
  ],
  [
    'announces while it announces',
    /^\[P1\] what is published within/,
    (inner) => {
      let sink: BrokerSink | null = null
      return {
        start: (given, context) => {
          sink = given
          return inner.start({ ...delegate(given), publication: () => undefined }, context)
        },
        publish: (topic, draft, policy) => {
          const accepted = inner.publish(topic, draft, policy) as { seq: number; epoch: string }
          const read = inner.read(topic, { limit: 1, maxBytes: 1_000 }) as StreamPage
          for (const publication of read.publications) sink?.publication(publication)
          return accepted as ReturnType<MemoryBroker['publish']>
        },
      }
    },
  ],
  [
    'skips a number',
    /^\[P1\] seq grows/,
    (inner) => ({
      start: through(inner, (sink) => ({
        publication: (publication) =>
          sink.publication({
            ...publication,
            seq: publication.seq + (publication.seq > 9 ? 1 : 0),
          }),
      })),
    }),
  ],
  [
    'numbers all topics together',
    /^\[P1\] each topic/,
    (inner) => ({ publish: (_topic, draft, policy) => inner.publish('all', draft, policy) }),
  ],
  [
    'counts those that still page',
    /^\[W12\]\[W10\] deliveredTo/,
    (inner) => ({ subscribers: (topic, local) => inner.subscribers(topic, local) }),
  ],
  [
    'retains what is ephemeral',
    /^\[P11\]/,
    (inner) => ({
      publish: (topic, draft, policy) =>
        inner.publish(topic, draft, { ...policy, delivery: 'recoverable' }),
    }),
  ],
  [
    'keeps more than `size`',
    /^\[L2\] of more than `size`/,
    (inner) => ({
      publish: (topic, draft, policy) =>
        inner.publish(topic, draft, { ...policy, size: policy.size + 1 }),
    }),
  ],
  [
    'keeps more than `bytes`',
    /^\[L2\] of more than `bytes`/,
    (inner) => ({
      publish: (topic, draft, policy) =>
        inner.publish(topic, draft, { ...policy, bytes: policy.bytes + 2 }),
    }),
  ],
  [
    'keeps for a ms too long',
    /^\[L2\] what is older/,
    (inner) => ({
      publish: (topic, draft, policy) =>
        inner.publish(topic, draft, { ...policy, ttlMs: policy.ttlMs + 1 }),
    }),
  ],
  [
    'keeps without a bound over all',
    /^\[L18\]/,
    (inner) => ({
      start: (sink, context) =>
        inner.start(sink, {
          ...context,
          limits: { ...context.limits, maxRetainedBytes: 1_000_000_000 },
        }),
    }),
  ],
  [
    'has one epoch for all times',
    /^\[L2\] a position is known/,
    (inner) => ({
      read: (...query) => page(inner, query, () => ({ epoch: 'always' })),
      subscribers: async (topic, local, live) => {
        const { position, total } = await inner.subscribers(topic, local, live)
        return { position: { ...position, epoch: 'always' }, total }
      },
    }),
  ],
  [
    'keeps quiet about what is missing',
    /^\[P3\] a since that is too old/,
    (inner) => ({ read: (...query) => page(inner, query, () => ({ gap: null })) }),
  ],
  [
    'says a gap that is one too long',
    /^\[P3\] a since that is too old/,
    (inner) => ({ read: (...query) => page(inner, query, ({ gap }) => ({ gap: moved(gap, 1) })) }),
  ],
  [
    'takes a since ahead of the head for the head',
    /^\[P3\] a since of another epoch/,
    (inner) => ({
      read: async (topic, query) => {
        const { head } = await inner.read(topic, query)
        const since = query.since && { ...query.since, seq: Math.min(query.since.seq, head) }
        return inner.read(topic, { ...query, ...(since !== undefined && { since }) })
      },
    }),
  ],
  [
    'takes a partial page for the whole',
    /^\[P2\] page by page/,
    (inner) => ({ read: (...query) => page(inner, query, () => ({ more: false })) }),
  ],
  [
    'does not look at the bytes of a page',
    /^\[L16\] a page ends/,
    (inner) => ({ read: (topic, query) => inner.read(topic, { ...query, maxBytes: Infinity }) }),
  ],
  [
    'lets the one before come, too',
    /^\[W13\] before/,
    (inner) => ({
      read: (topic, query) =>
        inner.read(
          topic,
          typeof query.before === 'number' ? { ...query, before: query.before + 1 } : query,
        ),
    }),
  ],
  [
    'gives the newest last',
    /^\[W13\] without since/,
    (inner) => ({
      read: (...query) =>
        page(inner, query, ({ publications }) => ({ publications: publications.toReversed() })),
    }),
  ],
  [
    'stores what nobody published to',
    /^\[L2\] a topic that nothing is known of/,
    (inner) => {
      let asked = 0
      return {
        subscribers: (topic, local, live) => {
          asked += 1
          return inner.subscribers(topic, local, live)
        },
        stats: () => ({ ...inner.stats(), streams: inner.stats().streams + asked }),
      }
    },
  ],
  [
    'takes publishes after its end',
    /^\[P6\] a closed broker/,
    () => {
      const inner = new MemoryBroker()
      return {
        start: (sink, context) => inner.start(sink, context),
        publish: (topic, draft, policy) => inner.publish(topic, draft, policy),
        close: () => Promise.resolve(),
      }
    },
  ],
  [
    'forgets that it was there before, and does not say so',
    /^\[P3\]\[P4\]\[P6\] a restart/,
    (inner) => ({
      start: async (sink, context) => {
        await inner.start(sink, context)
        return { windowEpoch: 'always' }
      },
    }),
  ],
]

describe('the suite refuses a broker that', () => {
  test.each(FAULTS)('%s', async (_what, about, fault) => {
    expect(await failuresOf(() => ({}), about)).toEqual([])
    expect(await failuresOf(fault, about)).not.toEqual([])
  })
})

test('a broker that forgets cannot pass for one that survives a restart', async () => {
  const failures: string[] = []
  const runs: Promise<void>[] = []
  brokerContract(() => new MemoryBroker(), {
    survivesRestart: true,
    test: (title, run) => {
      if (title.includes('a restart')) runs.push(run().catch(() => void failures.push(title)))
    },
  })
  await Promise.all(runs)
  expect(failures).toHaveLength(1)
})
