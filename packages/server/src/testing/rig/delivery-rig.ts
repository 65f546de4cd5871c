import { parseTopic, type RealtimeError } from '@bmt-central/realtime-protocol'
import { FanOut } from '../../delivery/fan-out.js'
import type { Channel } from '../../hub/channel.js'
import { Connection } from '../../hub/connection.js'
import { Hub } from '../../hub/hub.js'
import type { Subscription } from '../../hub/subscription.js'
import { Journal } from '../../journal.js'
import { budgetsOf } from '../../limits/budgets.js'
import type { Limits } from '../../limits/limits.js'
import { resolveOptions } from '../../options.js'
import type { Publication } from '../../publication.js'
import { parcelOf } from '../../transport/packets.js'
import type { Handover, Peer } from '../../transport/peer.js'
import { Turn } from '../../transport/turn.js'
import { SteeredRuntime } from './steered-runtime.js'
import { authenticateAnybody, collectingLogger, type LogLine } from './test-server.js'

/** A wire that keeps all that is written, and whose network takes it at once, or when told to. */
class KeptWire implements Peer {
  readonly connectionId: string
  readonly address = ''
  readonly transport = 'websocket'
  readonly lastPacketAt = 0
  readonly texts: string[] = []
  writes = 0
  stuck = false

  constructor(connectionId: string) {
    this.connectionId = connectionId
  }

  write(handover: Handover): void {
    const packets = [...handover.packets, ...(handover.shared?.parcels ?? [])]
    this.texts.push(...packets.map(({ text }) => text))
    this.writes += 1
    if (!this.stuck) handover.taker.taken(handover.bytes)
  }

  end(): void {
    this.texts.push('end')
  }
}

/** A connection and what it has been told. */
export class Listener {
  readonly wire: KeptWire
  readonly connection: Connection

  constructor(wire: KeptWire, connection: Connection) {
    this.wire = wire
    this.connection = connection
  }

  /** Of each message its topic and `seq`, else its whole text. */
  get heard(): string[] {
    return this.wire.texts.map((text) => {
      const [, topic, seq] = /"topic":"(\w+)".*?"seq":(\d+)/u.exec(text) ?? []
      const skipped = /"skipped":(\d+)/u.exec(text)?.[1]
      if (topic === undefined) return text
      return skipped === undefined ? `${topic}${seq}` : `${topic}${seq} skipped ${skipped}`
    })
  }

  /** An answer leaves to it. */
  answer(text: string): void {
    this.connection.outlet.push(parcelOf(text))
  }
}

/** The hub and the fan-out of a server without a wire, and the turns of the event loop in the test's hand. */
export class DeliveryRig {
  readonly log: LogLine[] = []
  readonly journal: Journal = new Journal(collectingLogger(this.log))
  readonly hub: Hub
  readonly fanOut: FanOut
  readonly ended: string[] = []
  readonly #options
  readonly #turn: Turn
  readonly #turns: (() => void)[] = []
  readonly #seqs = new Map<string, number>()

  constructor(limits: Partial<Limits> = {}) {
    this.#options = resolveOptions({
      authenticate: authenticateAnybody,
      channels: [
        { match: 'typing', subscribe: 'anyone', publish: 'anyone', delivery: 'ephemeral' },
        { match: 'metrics', subscribe: 'anyone', publish: 'anyone', overflow: 'latest' },
        { match: '*', subscribe: 'anyone', publish: 'anyone' },
      ],
      limits,
      runtime: new SteeredRuntime(),
    })
    const { rules, runtime } = this.#options
    this.#turn = new Turn({
      nextTurn: (run) => {
        this.#turns.push(run)
        return () => undefined
      },
      now: () => 0,
      failed: (error) => this.journal.failed(error, 'a turn'),
    })
    this.hub = new Hub({
      rules,
      limits: this.#options.limits,
      runtime,
      events: { channelOpened: () => undefined, channelEmpty: () => undefined },
    })
    this.fanOut = new FanOut({ hub: this.hub, journal: this.journal, turn: this.#turn })
  }

  connect(id: string): Listener {
    const wire = new KeptWire(id)
    const { runtime, limits } = this.#options
    const connection = new Connection(
      { user: { userId: id, role: 'user', permissions: [] }, client: {}, peer: wire },
      {
        runtime,
        limits,
        budgets: budgetsOf(limits),
        turn: this.#turn,
        ending: () => this.fanOut.spread(),
        ended: (gone, error) => this.#ended(gone, error),
      },
    )
    this.hub.add(connection)
    return new Listener(wire, connection)
  }

  #ended(connection: Connection, { code }: RealtimeError): void {
    this.ended.push(`${connection.id} ${code}`)
    this.hub.remove(connection)
    this.onEnd()
  }

  /** Called when a connection has been ended by the server. */
  onEnd: () => void = () => undefined

  channel(topic: string): Channel {
    return this.hub.open(parseTopic(topic))
  }

  /** As a subscribe does it: what was announced before is passed on, then its answer, then live. */
  subscribe(
    { connection }: Listener,
    topic: string,
    position = { epoch: 'e', seq: this.#seqs.get(topic) ?? 0 },
  ): Subscription {
    const channel = this.channel(topic)
    const subscription = this.hub.join(connection, channel)
    this.fanOut.settle(channel, connection)
    const from = subscription.live ? subscription.position : position
    subscription.join()
    connection.outlet.push(parcelOf(`subscribed ${topic}`))
    subscription.settle(from)
    return subscription
  }

  unsubscribe({ connection }: Listener, topic: string): void {
    const channel = this.channel(topic)
    this.fanOut.settle(channel, connection)
    this.hub.leave(connection, channel)
    connection.outlet.push(parcelOf(`unsubscribed ${topic}`))
  }

  publish(topic: string, more: Partial<Publication> = {}): Publication {
    const seq = (this.#seqs.get(topic) ?? 0) + 1
    this.#seqs.set(topic, seq)
    const publication: Publication = {
      topic: parseTopic(topic),
      id: `${topic}-${seq}`,
      from: null,
      seq,
      epoch: topic === 'typing' ? '' : 'e',
      payloadJson: '1',
      payloadBytes: 1,
      timestamp: 0,
      ...more,
    }
    this.fanOut.publication(publication)
    return publication
  }

  /** Whether something waits for the end of this turn. */
  get scheduled(): boolean {
    return this.#turns.length > 0
  }

  /** Ends turns until nothing is left to write. */
  turn(): void {
    while (this.#turns.length > 0) this.#turns.shift()?.()
  }
}
