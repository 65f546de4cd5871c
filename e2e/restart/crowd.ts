import { RealtimeClient, type RealtimeOptions } from '@bmt-central/realtime'
import { range, Reader } from '../reader.js'
import { until, within } from '../until.js'

export interface CrowdOptions extends Partial<RealtimeOptions> {
  readonly url: string
  readonly clients: number
  /** What there is to read. */
  readonly topics: readonly string[]
  /** How many of the topics each client reads: its own first one, and those behind it. */
  readonly subscriptions: number
}

/** One client, and what it was told. */
export interface Member {
  readonly client: RealtimeClient
  readonly readers: readonly Reader<number>[]
}

/** Clients that lose their server at once, and come back at once. */
export class Crowd implements AsyncDisposable {
  readonly members: readonly Member[]

  private constructor(members: readonly Member[]) {
    this.members = members
  }

  /** Resolves when all of them are connected, and live on all of their topics. */
  static async join(options: CrowdOptions): Promise<Crowd> {
    const { clients, topics, subscriptions, ...own } = options
    const joining = range(0, clients - 1).map(async (place): Promise<Member> => {
      const client = new RealtimeClient({ auth: `dev:member-${place}`, ...own })
      await within(client.connect(), `member ${place} to connect`)
      const names = range(0, subscriptions - 1).map(
        (step) => topics[(place + step) % topics.length],
      )
      const readers = names.map((name = '') => new Reader<number>(client, name))
      await within(
        Promise.all(readers.map(({ subscription }) => subscription.ready)),
        `the subscriptions of member ${place}`,
      )
      return { client, readers }
    })
    return new Crowd(await Promise.all(joining))
  }

  get readers(): readonly Reader<number>[] {
    return this.members.flatMap(({ readers }) => readers)
  }

  /** How many read a topic. */
  readersOf(topic: string): number {
    return this.readers.filter(({ subscription }) => subscription.topic === topic).length
  }

  /** How many are away: not connected, or with a topic on which they are not live. */
  get away(): number {
    return this.members.filter(
      ({ client, readers }) =>
        client.status !== 'connected' ||
        readers.some(({ subscription }) => subscription.state !== 'subscribed'),
    ).length
  }

  /** Resolves when everybody has lost the server. */
  async isScattered(): Promise<void> {
    await until(
      () => this.members.every(({ client }) => client.status === 'reconnecting'),
      'everybody to lose the server',
    )
  }

  /** Resolves when everybody is back, and has heard the last of `said`: the last number by topic. */
  async isBack(said: ReadonlyMap<string, number>): Promise<void> {
    const behind = (): Reader<number>[] =>
      this.readers.filter(
        ({ messages, subscription }) => messages.at(-1)?.payload !== said.get(subscription.topic),
      )
    await until(
      () => this.away === 0 && behind().length === 0,
      'everybody to be back',
      () => ({ away: this.away, behind: behind().length }),
    )
  }

  /** What is wrong with what they heard, where the numbers from 1 to `said` were published by topic. */
  faults(said: ReadonlyMap<string, number>): string[] {
    return this.members.flatMap(({ client, readers }, place) =>
      readers.flatMap(({ subscription, payloads, seqs, gaps }) => {
        const { topic } = subscription
        const all = JSON.stringify(range(1, said.get(topic) ?? 0))
        const faults = [
          JSON.stringify(payloads) !== all && `heard ${JSON.stringify(payloads)}`,
          JSON.stringify(seqs) !== all && `in the places ${JSON.stringify(seqs)}`,
          gaps.length > 0 && `was told of ${JSON.stringify(gaps)}`,
          client.getStats().subscriptions !== readers.length && 'has lost a subscription',
        ]
        return faults.flatMap((fault) => (fault === false ? [] : `${place} of ${topic}: ${fault}`))
      }),
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.members.map(({ client }) => client.close()))
  }
}
