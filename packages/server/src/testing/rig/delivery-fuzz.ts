import { seededRandom } from '@bmt-central/realtime-protocol/testing'
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { CreateTransport } from '../../transport/socket-io.js'
import { createTransport } from '../../transport/socket-io.js'
import { FastLane } from '../../transport/fast-lane.js'
import type { TopicKind } from './delivery-judge.js'
import type { NumberedPayload } from './delivery-judge.js'
import { PlainParty, RawParty, type Ask, type Leaving, type Party } from './delivery-party.js'
import type { Fields } from './plain-client.js'
import { RemoteBroker } from './remote-broker.js'
import { SteeredRuntime } from './steered-runtime.js'
import { TestServer, turns } from './test-server.js'

const KIB = 1_024
const ANYONE = { subscribe: 'anyone', publish: 'anyone' } as const
const KINDS: Readonly<Record<string, TopicKind>> = {
  a: 'recoverable',
  b: 'recoverable',
  c: 'recoverable',
  metrics: 'latest',
  typing: 'ephemeral',
}
const TOPICS = Object.keys(KINDS)
const LETTERS = ['x', 'ä', '€', '😀', '"', '\u2028']
const LEAVINGS: readonly Leaving[] = ['close frame', 'disconnect packet', 'end', 'destroy']
/** How long the end of a run may take, turns of the event loop apart, before something is missing. */
const PATIENCE_MS = 30_000

/** What a run did, by name: `messages`, `fast writes`, `kicks` … */
export type FuzzTally = Map<string, number>

/** Time that passes while others are served: so that flushes are cut into slices. */
class HurriedRuntime extends SteeredRuntime {
  readonly #random: () => number
  #hurried = 0

  constructor(random: () => number) {
    super()
    this.#random = random
  }

  override monotonicNow(): number {
    this.#hurried += this.#random() * 6
    return super.monotonicNow() + this.#hurried
  }
}

/**
 * One generated run on real sockets: several clients of all kinds that publish, subscribe, page, leave,
 * are replaced and read slowly, all at once. Gives what was wrong; the same seed generates the same run,
 * the order of the network's events apart.
 */
export async function fuzzDelivery(seed: number, tally: FuzzTally = new Map()): Promise<string[]> {
  const run = new FuzzRun(seed, tally)
  await using _ = await run.start()
  const steps = 15 + run.below(40)
  for (let step = 0; step < steps; step += 1) await run.step()
  const faults = await run.finish()
  return faults
}

class FuzzRun {
  readonly #seed: number
  readonly #random: () => number
  readonly #tally: FuzzTally
  readonly #parties: Party[] = []
  readonly #published = new Map<string, number>()
  readonly #faults: string[] = []
  /** Upgrades that have not been let through. */
  #held: (() => void)[] = []
  #server!: TestServer
  #small = false
  #packed = false
  #news = 0
  #pending = 0

  constructor(seed: number, tally: FuzzTally) {
    this.#seed = seed
    this.#random = seededRandom(seed)
    this.#tally = tally
  }

  below(most: number): number {
    return Math.floor(this.#random() * most)
  }

  #chance(share: number): boolean {
    return this.#random() < share
  }

  #count(what: string, by = 1): void {
    this.#tally.set(what, (this.#tally.get(what) ?? 0) + by)
  }

  async start(): Promise<TestServer> {
    this.#small = this.#chance(0.25)
    this.#packed = this.#chance(0.2)
    const crowd = this.#chance(0.05)
    this.#server = await TestServer.start(
      {
        channels: [
          { match: 'metrics', ...ANYONE, overflow: 'latest' },
          { match: 'typing', ...ANYONE, delivery: 'ephemeral' },
          ...['a', 'b', 'c'].map((match) => ({ match, ...ANYONE })),
        ],
        limits: {
          ...(this.#chance(0.5) && { maxPageMessages: 3 }),
          ...(this.#small && { maxBufferedBytes: 80 * KIB, hardMaxBufferedBytes: 100 * KIB }),
          maxMessageHistory: 100_000,
          publishBurst: 1_000_000,
          publishBytesBurst: 1_000_000_000,
          requestBurst: 1_000_000,
        },
        ...(this.#chance(0.4) && { broker: new RemoteBroker(this.#seed) }),
        ...(this.#packed && { compression: { thresholdBytes: 300 } }),
        ...((crowd || this.#chance(0.2)) && {
          runtime: new HurriedRuntime(seededRandom(this.#seed + 1)),
        }),
      },
      { createTransport: this.#transport() },
    )
    this.#watch()
    const parties = crowd ? 45 : 2 + this.below(4)
    for (let n = 0; n < parties; n += 1) this.#join(crowd)
    await this.#until(() => this.#parties.every(({ connected }) => connected), 'connecting')
    for (const party of this.#parties) party.ask([this.#subscribe(party, 'a', {})])
    return this.#server
  }

  /** Mostly with both shortcuts; sometimes without, where everything must be the same. */
  #transport(): CreateTransport {
    const direct = !this.#chance(0.1)
    const fast = !this.#chance(0.1)
    return (options, events) => {
      const { logger, compressionThresholdBytes: threshold } = options
      const lane = new FastLane({ logger, threshold })
      const write = (...args: Parameters<FastLane['write']>): boolean => {
        const written = fast && lane.write(...args)
        this.#count(written ? 'fast writes' : 'ordinary writes')
        return written
      }
      return createTransport(options, events, { lane: { write }, direct })
    }
  }

  #watch(): void {
    const { io } = this.#server.service
    io.httpServer.on('upgrade', ({ url }: IncomingMessage, socket: Socket) => {
      if (url?.includes('pace=slow') === true) slowDown(socket, seededRandom(this.#seed + 2))
    })
    io.engine.use((request: IncomingMessage, _: unknown, next: () => void) => {
      if (request.headers.upgrade === undefined || !request.url?.includes('sid=')) next()
      else this.#held.push(next)
    })
  }

  #join(crowd = false, like?: Party): void {
    const number = this.#parties.length + 1
    const facts = {
      url: this.#server.url,
      number,
      name: like?.name ?? `u${number}`,
      instance: like?.instance ?? `instance-of-${`${number}`.padStart(12, '0')}`,
      kindOf: (topic: string) => KINDS[topic] ?? 'recoverable',
      random: seededRandom(this.#seed * 1_000 + number),
      query: this.#chance(0.3) ? '&pace=slow' : '',
    }
    const kind = this.#random()
    if (crowd || kind < 0.55) {
      this.#count('raw clients')
      this.#parties.push(new RawParty(facts, { packed: this.#packed && this.#chance(0.7) }))
    } else if (kind < 0.7) {
      this.#count('plain clients')
      this.#parties.push(new PlainParty(facts, ['websocket']))
    } else if (kind < 0.95) {
      this.#count('upgrading clients')
      this.#parties.push(new PlainParty(facts, ['polling', 'websocket']))
    } else {
      this.#count('polling clients')
      this.#parties.push(new PlainParty(facts, ['polling']))
    }
  }

  async step(): Promise<void> {
    const choice = this.#random()
    const present = this.#present
    const party = present[this.below(present.length)]
    if (choice < 0.35) this.#publishMany()
    else if (choice < 0.85 && party !== undefined) this.#request(party)
    else if (choice < 0.88) this.#emitNews()
    else if (choice < 0.91 && party !== undefined) this.#leave(party)
    else if (choice < 0.93 && party !== undefined) this.#replace(party)
    else if (choice < 0.95) await this.#server.runtime.advance(this.below(1_500))
    else for (const go of this.#held.splice(0)) go()
    await turns(this.below(this.#chance(0.1) ? 12 : 3))
  }

  /** The application's own event, through Socket.IO. To each by itself: what Socket.IO sends to all may follow a close frame. */
  #emitNews(): void {
    this.#news += 1
    for (const socket of this.#server.service.io.sockets.sockets.values()) {
      socket.emit('news', this.#news)
    }
  }

  get #present(): Party[] {
    return this.#parties.filter(({ connected, leaving, ended }) => connected && !leaving && !ended)
  }

  #publishMany(): void {
    const count = 1 + this.below(this.#chance(0.2) ? 60 : 8)
    for (let n = 0; n < count; n += 1) {
      const topic = this.#topic()
      this.#pending += 1
      this.#server.service
        .publish(topic, this.#payload('server', topic, this.#published))
        .catch((error: unknown) => this.#faults.push(`publish: ${String(error)}`))
        .finally(() => (this.#pending -= 1))
    }
  }

  #topic(): string {
    return TOPICS[this.below(TOPICS.length)] ?? 'a'
  }

  #payload(by: string, topic: string, counts: Map<string, number>): NumberedPayload {
    const n = (counts.get(topic) ?? 0) + 1
    counts.set(topic, n)
    const letter = LETTERS[this.below(LETTERS.length)] ?? 'x'
    const size = this.#random()
    const times = this.below(size < 0.8 ? 60 : size < 0.97 ? 1_500 : 14_000)
    return { by, n, letter, times, text: letter.repeat(times) }
  }

  /** Some requests, in one chunk where the client can; sometimes it goes within the same. */
  #request(party: Party): void {
    const asks = Array.from({ length: 1 + this.below(6) }, () => this.#ask(party))
    this.#count('requests', asks.length)
    party.ask(asks)
    if (this.#chance(0.03)) this.#leave(party)
  }

  #ask(party: Party): Ask {
    const choice = this.#random()
    const topic = this.#topic()
    if (choice < 0.5) {
      const payload = this.#payload(party.publisher, topic, party.published)
      return {
        event: 'publish',
        data: { topic, payload },
        answered: () => party.judge.other('ack'),
      }
    }
    if (choice < 0.62) {
      const answered = (): void => party.judge.unsubscribed(topic)
      return { event: 'unsubscribe', data: { topic }, answered }
    }
    if (choice < 0.65) {
      const data = { timestamp: 1 }
      return { event: 'heartbeat', data, answered: () => party.judge.other('heartbeat') }
    }
    if (choice < 0.68) {
      const data = { topic, limit: 5 }
      return { event: 'history', data, answered: () => party.judge.other('history') }
    }
    if (choice < 0.78) return this.#batch(party)
    return this.#subscribe(party, topic, this.#past(party, topic))
  }

  #past(party: Party, topic: string): Past {
    const choice = this.#random()
    const position = party.judge.positionOf(topic)
    if (choice < 0.4 && position !== null && KINDS[topic] !== 'ephemeral') {
      const seq = Math.max(0, position.seq - (this.#chance(0.3) ? this.below(10) : 0))
      return { since: { epoch: position.epoch, seq } }
    }
    return choice < 0.6 ? { rewind: this.below(6) } : {}
  }

  #subscribe(party: Party, topic: string, past: Past): Ask {
    return {
      event: 'subscribe',
      data: { topic, ...past },
      answered: (answer) => this.#subscribed(party, answer, past),
    }
  }

  #batch(party: Party): Ask {
    const items = Array.from({ length: 1 + this.below(3) }, () => {
      const topic = this.#topic()
      return { topic, past: this.#past(party, topic) }
    })
    return {
      event: 'subscribe',
      data: { topics: items.map(({ topic, past }) => ({ topic, ...past })) },
      answered: ({ results }) => {
        for (const [index, result] of (results as Fields[]).entries()) {
          const first = items.findIndex(({ topic }) => topic === result['topic']) === index
          this.#subscribed(party, result, items[index]?.past ?? {}, first)
        }
      },
    }
  }

  /** `first`: of those that a batch has of the topic. */
  #subscribed(party: Party, answer: Fields, { since, rewind }: Past, first = true): void {
    const repeats = first && since === undefined && (rewind ?? 0) === 0
    party.judge.subscribed(answer, { since: since?.seq ?? null, repeats })
    if (answer['more'] === true) this.#count('pages')
  }

  #leave(party: Party): void {
    const how = LEAVINGS[this.below(LEAVINGS.length)] ?? 'destroy'
    this.#count('departures')
    party.leave(how)
  }

  /** A newer connection of the same client object takes its place [W2]. */
  #replace(party: Party): void {
    this.#count('replacements')
    party.leaving = true
    this.#join(false, party)
  }

  async finish(): Promise<string[]> {
    const settled = (): boolean =>
      this.#pending === 0 &&
      this.#present.every(({ unanswered }) => unanswered.size === 0) &&
      this.#parties.every(({ connected, ended, leaving }) => connected || ended || leaving)
    for (let left = 2; left > 0; left -= 1) {
      for (const go of this.#held.splice(0)) go()
      await this.#until(settled, 'answers')
      // Whoever pages goes on to the end.
      for (const party of this.#present) await this.#readOn(party)
    }
    const heads = new Map<string, number>()
    for (const topic of TOPICS) heads.set(topic, (await this.#server.service.history(topic)).seq)
    const complete = (): boolean =>
      this.#present.every(({ judge }) =>
        judge.live.every(({ topic, seq }) => seq === heads.get(topic)),
      )
    await this.#until(complete, 'the last messages')
    this.#judge(heads)
    return this.#faults
  }

  async #readOn(party: Party): Promise<void> {
    for (const topic of TOPICS) {
      while (party.judge.isPaging(topic) && !party.ended && !party.leaving) {
        const position = party.judge.positionOf(topic)
        party.ask([this.#subscribe(party, topic, position === null ? {} : { since: position })])
        await this.#until(() => party.unanswered.size === 0 || party.ended, 'a page')
      }
    }
  }

  #judge(heads: ReadonlyMap<string, number>): void {
    for (const { name, judge, endedWith, leaving, ended, unanswered } of this.#parties) {
      this.#faults.push(...judge.faults.map((fault) => `${name}: ${fault}`))
      this.#count('heard', judge.heard)
      if (endedWith !== null) this.#count(`ended: ${endedWith}`)
      if (ended && !leaving && !this.#wasSlow(name)) this.#faults.push(`${name} was ended`)
      if (ended || leaving) continue
      if (unanswered.size > 0) this.#faults.push(`${name}: ${unanswered.size} without an answer`)
      for (const { topic, seq } of judge.live) {
        if (seq !== heads.get(topic)) {
          this.#faults.push(`${name}: ${topic} ends at ${seq}, not ${heads.get(topic)}`)
        }
      }
    }
    for (const { level, event, fields } of this.#server.log) {
      if (level === 'error' || level === 'warn') {
        this.#faults.push(`log: ${event} ${JSON.stringify(fields)}`.slice(0, 500))
      }
    }
  }

  /** Ended as slow: `closing` may not have arrived, since it does not read. */
  #wasSlow(name: string): boolean {
    return this.#server
      .events('disconnect')
      .some(({ user, code }) => user.userId === name && code === 'slow_consumer' && this.#small)
  }

  /** Where it takes too long, what is missing is found by the judgement. */
  async #until(condition: () => boolean, what: string): Promise<void> {
    const giveUpAt = performance.now() + PATIENCE_MS
    while (!condition()) {
      if (performance.now() > giveUpAt) {
        this.#faults.push(`waited in vain for ${what}`)
        return
      }
      await turns(1)
    }
  }
}

interface Past {
  readonly since?: { readonly epoch: string; readonly seq: number }
  readonly rewind?: number
}

/** A TCP socket whose network takes its time, and takes what it is given in pieces. */
function slowDown(socket: Socket, random: () => number): void {
  const write = socket._write.bind(socket)
  const later = (run: () => void): void => {
    const most = random() < 0.1 ? 40 : 4
    void turns(1 + Math.floor(random() * most)).then(run)
  }
  Object.assign(socket, { _writev: null })
  socket._write = (chunk: Buffer | string, encoding, done) => {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk
    const cut = Math.floor(random() * bytes.length)
    // Node's name for bytes is missing in its types.
    const asBytes = 'buffer' as BufferEncoding
    later(() => {
      write(bytes.subarray(0, cut), asBytes, (error) => {
        if (error) done(error)
        else later(() => write(bytes.subarray(cut), asBytes, done))
      })
    })
  }
}
