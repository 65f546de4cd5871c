import type { Handshake, Link, LinkListener } from '@bmt-central/realtime'
import {
  fromWireFailure,
  RealtimeError,
  toWireFailure,
  type Runtime,
} from '@bmt-central/realtime-protocol'
import type {
  Handover,
  Peer,
  PeerHandler,
  TransportEvents,
} from '@bmt-central/realtime-server/testing'
import type { Chance } from './faults.js'

/** ms after which Socket.IO's own ping gives a dead wire up. */
const PING_TIMEOUT_MS = 45_000
const LATENCY_MS = 40
const SLOW_LATENCY_MS = 3_000
/** ms for which a dropped link goes on reporting. */
const OLD_LINK_MS = 8_000

export interface WireParts {
  readonly runtime: Runtime
  /** The client's machine: what arrives while it sleeps waits. */
  readonly clientRuntime: Runtime
  readonly chance: Chance
  readonly handshake: Handshake
  readonly listener: LinkListener
  /** The server that takes connections now; null: there is none. */
  readonly server: () => TransportEvents | null
  /** Whether a publish with this id is being carried out, for another link. */
  readonly isPublishing: (id: string) => boolean
  /** Runs what a dropped link reports all the same: nothing may come of it [C5]. */
  readonly haunted: (report: () => void) => void
  /** Sees every request at the moment at which the client sends it. */
  readonly sending: (event: string, data: Readonly<Record<string, unknown>>) => void
  /** The server's end is over. */
  readonly over: (wire: MemoryWire) => void
}

/** One direction: packets arrive in the order in which they were sent, each a little later. */
class Lane {
  readonly #runtime: Runtime
  readonly #latencyMs: () => number
  #lastAt = 0

  constructor(runtime: Runtime, latencyMs: () => number) {
    this.#runtime = runtime
    this.#latencyMs = latencyMs
  }

  send(arrive: () => void): void {
    const now = this.#runtime.monotonicNow()
    this.#lastAt = Math.max(this.#lastAt, now + this.#latencyMs())
    this.#runtime.after(this.#lastAt - now, arrive)
  }
}

function requestPacket(ackId: number, request: readonly unknown[]): string {
  return `2${ackId}${JSON.stringify(request)}`
}

/**
 * One wire in memory: a client's `Link` at one end and a server's `Peer` at the other. What crosses
 * it is the text of Socket.IO packets, and nothing else.
 */
export class MemoryWire implements Link, Peer {
  readonly connectionId: string
  readonly address = '127.0.0.1'
  readonly transport = 'websocket'
  lastPacketAt: number
  readonly #parts: WireParts
  readonly #toServer: Lane
  readonly #toClient: Lane
  readonly #answers = new Map<number, (acknowledgement: unknown) => void>()
  /** Publishes that are not answered yet, as they were sent. */
  readonly #published = new Map<number, readonly unknown[]>()
  /** Acknowledgements at which the link is cut. */
  readonly #cutAt = new Set<number>()
  #acks = 0
  #handler: PeerHandler | null = null
  #server: TransportEvents | null = null
  #clientOver = false
  /** Reports after `drop()` all the same: the client's own fence has to hold [C5]. */
  #haunts = false
  #serverOver = false
  #swallows = false

  constructor(parts: WireParts) {
    const { runtime, clientRuntime, chance } = parts
    const worstMs = chance.strikes('delay') ? SLOW_LATENCY_MS : LATENCY_MS
    this.#parts = parts
    this.connectionId = runtime.id()
    this.lastPacketAt = runtime.monotonicNow()
    this.#toServer = new Lane(runtime, () => 1 + chance.below(worstMs))
    this.#toClient = new Lane(clientRuntime, () => 1 + chance.below(worstMs))
    this.#toServer.send(() => this.#connect())
  }

  // The client's end.

  request(event: string, data: object, answer: (acknowledgement: unknown) => void): void {
    if (this.#clientOver) return
    const ackId = (this.#acks += 1)
    this.#answers.set(ackId, answer)
    const packet = requestPacket(ackId, [event, data])
    this.#parts.sending(event, data as Readonly<Record<string, unknown>>)
    this.#toServer.send(() => this.#arriveAtServer(packet))
    if (event === 'publish') this.#published.set(ackId, [event, data])
  }

  drop(): void {
    if (this.#clientOver) return
    const { chance, clientRuntime, listener, haunted } = this.#parts
    if (!chance.strikes('oldLink')) {
      this.#endClient()
      return this.#closeServer('transport close')
    }
    // The other side does not know yet, and goes on sending.
    this.#clientOver = true
    this.#haunts = true
    const lateMs = 1 + chance.below(OLD_LINK_MS)
    this.#parts.runtime.after(lateMs, () => this.#closed('transport close'))
    clientRuntime.after(lateMs, () => {
      this.#haunts = false
      this.#endClient()
      haunted(() => listener.down(new RealtimeError('not_connected', 'an old link, late')))
    })
  }

  // The server's end.

  write(handover: Handover): void {
    if (this.#serverOver) return
    const packets = [...handover.packets, ...(handover.shared?.parcels ?? [])]
    for (const { text } of packets) this.#toClient.send(() => this.#arriveAtClient(text))
    this.#parts.runtime.after(1, () => {
      if (!this.#serverOver && !this.#swallows) handover.taker.taken(handover.bytes)
    })
  }

  end(): void {
    if (this.#serverOver) return
    this.#toClient.send(() => this.#down('the server ended the connection'))
    this.#toServer.send(() => this.#closed('server namespace disconnect'))
  }

  // Faults.

  /** Both ends are open, as far as anybody can tell. */
  get open(): boolean {
    return !this.#clientOver && !this.#serverOver
  }

  /** It ends without a word; what is on its way is lost. */
  cut(): void {
    if (this.#swallows) return
    this.#swallows = true
    const { clientRuntime, chance } = this.#parts
    clientRuntime.after(1 + chance.below(500), () => this.#down('cut'))
    this.#closeServer('transport error')
  }

  /** From here on nothing gets through; the server's ping finds out. */
  swallow(): void {
    if (this.#swallows) return
    this.#swallows = true
    this.#parts.runtime.after(PING_TIMEOUT_MS, () => this.#closed('ping timeout'))
  }

  /** The server's process is gone. */
  crash(): void {
    this.#serverOver = true
    this.#swallows = true
    this.#parts.over(this)
    // Its machine may be gone with it: then nobody tells the client.
    const { clientRuntime, chance } = this.#parts
    if (chance.random() < 0.2) return
    clientRuntime.after(1 + chance.below(500), () => this.#down('crash'))
  }

  #connect(): void {
    const { chance, handshake } = this.#parts
    const server = this.#parts.server()
    const lost = chance.hits('unreachable')
    if (this.#clientOver && !this.#haunts) return
    if (lost) chance.tally.add('unreachable')
    if (lost || server === null || !server.accepting()) {
      this.#serverOver = true
      this.#parts.over(this)
      this.#toClient.send(() => this.#down('the server could not be reached'))
      return
    }
    this.#server = server
    const { token = null, client } = JSON.parse(JSON.stringify(handshake)) as Handshake
    const { connectionId, address } = this
    const facts = { token, auth: { ...handshake }, headers: {}, address, connectionId, client }
    server.admit(facts).then(
      (user) => {
        if (this.#serverOver) return server.abandoned(connectionId)
        this.#handler = server.opened(this, { user, handshake: facts })
      },
      (error: unknown) => {
        server.refused(error, { connectionId })
        const text = JSON.stringify(toWireFailure(error))
        this.#closed('refused')
        this.#toClient.send(() => this.#down(fromWireFailure(JSON.parse(text))))
      },
    )
  }

  #arriveAtServer(packet: string): void {
    const { chance, runtime, isPublishing } = this.#parts
    if (this.#swallows || this.#serverOver) return
    if (chance.strikes('blackHole')) return this.swallow()
    if (chance.strikes('drop') || chance.strikes('cutBefore')) return this.cut()
    this.lastPacketAt = runtime.monotonicNow()
    const [, id = '', json = '[]'] = /^2(\d+)(.*)$/su.exec(packet) ?? []
    const [event, ...args] = JSON.parse(json) as unknown[]
    if (chance.strikes('cutAfter')) this.#cutAt.add(Number(id))
    const { messageId } = Object(args[0]) as { messageId?: unknown }
    if (event === 'publish' && isPublishing(String(messageId))) {
      chance.tally.add('sent again while in progress')
    }
    this.#handler?.packet(event, args, Number(id))
    if (chance.strikes('cutDuring')) this.cut()
  }

  #arriveAtClient(packet: string): void {
    const { chance, listener, haunted } = this.#parts
    if (this.#swallows || (this.#clientOver && !this.#haunts)) return
    if (chance.strikes('drop')) return this.cut()
    const [, kind, id = '', json = '[]'] = /^([23])(\d*)(.*)$/su.exec(packet) ?? []
    const [first, second] = JSON.parse(json) as unknown[]
    if (kind === '3' && this.#cutAt.has(Number(id))) return this.cut()
    const answer = kind === '3' ? this.#answers.get(Number(id)) : undefined
    this.#answers.delete(Number(id))
    if (kind === '3') this.#resend(Number(id), first)
    const report = (): void => {
      listener.packet()
      if (kind === '2') listener.event(String(first), second)
      else answer?.(first)
    }
    if (this.#clientOver) haunted(report)
    else report()
  }

  /**
   * Sends again what was just acknowledged: it has to be a duplicate [P4]. Never what was refused:
   * that the client takes as not published, and whoever publishes it after all breaks its promise.
   */
  #resend(ackId: number, acknowledgement: unknown): void {
    const request = this.#published.get(ackId)
    if (request === undefined) return
    this.#published.delete(ackId)
    const { status } = acknowledgement as { status?: unknown }
    if (status !== 'success' || this.#clientOver) return
    if (!this.#parts.chance.strikes('duplicate')) return
    const packet = requestPacket((this.#acks += 1), request)
    this.#toServer.send(() => this.#arriveAtServer(packet))
  }

  #down(why: string | RealtimeError): void {
    if (this.#clientOver) return
    this.#endClient()
    this.#parts.listener.down(
      typeof why === 'string' ? new RealtimeError('not_connected', why) : why,
    )
  }

  #endClient(): void {
    this.#clientOver = true
    this.#answers.clear()
    this.#published.clear()
    this.#cutAt.clear()
  }

  /** The server notices the end, sometimes long after the client has another link. */
  #closeServer(reason: string): void {
    const { chance, runtime } = this.#parts
    if (this.#serverOver) return
    const late = chance.strikes('lateClose')
    runtime.after(late ? chance.below(PING_TIMEOUT_MS) : 1 + chance.below(50), () =>
      this.#closed(reason),
    )
  }

  #closed(reason: string): void {
    if (this.#serverOver) return
    this.#serverOver = true
    if (this.#handler === null) this.#server?.abandoned(this.connectionId)
    else this.#handler.closed(reason)
    this.#parts.over(this)
  }
}
