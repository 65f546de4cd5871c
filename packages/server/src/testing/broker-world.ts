import assert from 'node:assert/strict'
import {
  RealtimeError,
  silentLogger,
  utf8Length,
  type ErrorCode,
  type Topic,
} from '@bmt-central/realtime-protocol'
import { virtualRuntime, type VirtualRuntime } from '@bmt-central/realtime-protocol/testing'
import type {
  Accepted,
  Broker,
  BrokerLimits,
  Draft,
  Maybe,
  StreamPage,
  StreamPolicy,
} from '../broker/broker.js'
import type { Publication } from '../publication.js'

/** Makes a broker on a place (a folder, a key prefix); the same place is the same store. */
export type CreateBroker = (place: string) => Maybe<Broker>

/** Declares one test of the suite, which makes its brokers with what it is given. */
export type BrokerTest = (title: string, run: (create: CreateBroker) => Promise<void>) => void

/** Room for everything that a test appends. */
export const KEEP_ALL: StreamPolicy = {
  delivery: 'recoverable',
  size: 10_000,
  ttlMs: 24 * 60 * 60_000,
  bytes: 64 * 1_024 * 1_024,
}

export const EPHEMERAL: StreamPolicy = { ...KEEP_ALL, delivery: 'ephemeral' }

/** Everything from the first publication on, in one page. */
export const WHOLE: { readonly limit: number; readonly maxBytes: number } = {
  limit: 10_000,
  maxBytes: 64 * 1_024 * 1_024,
}

const LIMITS: BrokerLimits = {
  idempotencyWindowMs: 5 * 60_000,
  maxIdempotencyIds: 100_000,
  maxRetainedBytes: 64 * 1_024 * 1_024,
  maxTopics: 1_000,
}

/** What a publish of a test may say besides topic and id. */
export interface PublishFacts {
  readonly from?: string | null
  readonly json?: string
  readonly hash?: string
  readonly after?: string
  readonly policy?: StreamPolicy
}

/** A started broker in virtual time, and all that it announced. */
export class BrokerWorld implements AsyncDisposable {
  readonly broker: Broker
  readonly runtime: VirtualRuntime
  readonly heard: Publication[] = []
  readonly states: string[] = []
  /** Called within every announcement. */
  onHeard: (publication: Publication) => void = () => undefined
  windowEpoch = ''
  readonly #wakers = new Set<() => void>()

  constructor(broker: Broker, runtime: VirtualRuntime) {
    this.broker = broker
    this.runtime = runtime
  }

  static async open(
    create: CreateBroker,
    options: {
      readonly place?: string
      readonly limits?: Partial<BrokerLimits>
      readonly runtime?: VirtualRuntime
    } = {},
  ): Promise<BrokerWorld> {
    const { place = 'here', limits = {}, runtime = virtualRuntime() } = options
    const world = new BrokerWorld(await create(place), runtime)
    const context = { limits: { ...LIMITS, ...limits }, runtime, logger: silentLogger }
    const sink = {
      publication: (publication: Publication) => world.#hear(publication),
      lost: () => undefined,
      state: (state: string) => void world.states.push(state),
    }
    world.windowEpoch = (await world.broker.start(sink, context)).windowEpoch
    return world
  }

  async publish(topic: Topic, id: string, facts: PublishFacts = {}): Promise<Accepted> {
    const { from = 'ann', json = JSON.stringify(id), after, policy = KEEP_ALL } = facts
    const draft: Draft = {
      id,
      from,
      payloadJson: json,
      payloadBytes: utf8Length(json),
      hash: facts.hash ?? `hash of ${json}`,
      ...(after !== undefined && { after }),
    }
    return this.broker.publish(topic, draft, policy)
  }

  /** Publishes `count` messages `<prefix>1` … in order. */
  async publishMany(
    topic: Topic,
    count: number,
    facts: PublishFacts & { readonly prefix?: string } = {},
  ): Promise<Accepted[]> {
    const results: Accepted[] = []
    for (let number = 1; number <= count; number += 1) {
      results.push(await this.publish(topic, `${facts.prefix ?? 'm'}${number}`, facts))
    }
    return results
  }

  /** The whole stream, as far as it is retained. */
  async whole(topic: Topic): Promise<StreamPage> {
    return this.broker.read(topic, WHOLE)
  }

  /** Waits for an announcement of this id: no time limit of its own, the runner has one. */
  async heardOf(id: string): Promise<void> {
    while (!this.heard.some((publication) => publication.id === id)) {
      await new Promise<void>((wake) => this.#wakers.add(wake))
    }
  }

  /** Ids announced for a topic, in order. */
  heardIds(topic: Topic): string[] {
    return this.heard
      .filter((publication) => publication.topic === topic)
      .map((publication) => publication.id)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.broker.close()
  }

  #hear(publication: Publication): void {
    this.heard.push(publication)
    this.onHeard(publication)
    const wakers = [...this.#wakers]
    this.#wakers.clear()
    for (const wake of wakers) wake()
  }
}

/** The ids of a page, in its order. */
export function idsOf(page: StreamPage): string[] {
  return page.publications.map((publication) => publication.id)
}

/** Asserts that a call is refused with a code, at once or later. */
export async function assertRefused(code: ErrorCode, run: () => Maybe<unknown>): Promise<void> {
  try {
    await run()
  } catch (error) {
    assert(error instanceof RealtimeError, `expected a RealtimeError, got ${String(error)}`)
    assert.equal(error.code, code)
    return
  }
  assert.fail(`expected to be refused with ${code}`)
}
