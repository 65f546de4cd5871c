import { RealtimeError, type User } from '@bmt-central/realtime-protocol'
import { admit, type ClientFacts, type Handshake } from './auth/authenticate.js'
import { connectedEvent } from './connected-event.js'
import type { SlowConsumers } from './delivery/slow-consumer.js'
import { Connection, type ConnectionWiring } from './hub/connection.js'
import { Expiries } from './hub/expiries.js'
import { isOlder } from './hub/hub.js'
import { connectionSnapshot } from './hub/connection-snapshot.js'
import type { ResolvedOptions } from './options.js'
import type { RequestContext } from './requests/context.js'
import { dispatch, type Incoming } from './requests/dispatch.js'
import { tellBroker } from './requests/leaving.js'
import type { Peer } from './transport/peer.js'
import type { TransportEvents } from './transport/socket-io.js'
import type { PeerHandler } from './transport/socket-peer.js'
import type { Turn } from './transport/turn.js'

/** What the life of connections needs. */
export interface ConnectionsWiring {
  readonly options: ResolvedOptions
  readonly context: RequestContext
  readonly turn: Turn
  readonly slow: SlowConsumers
  /** Of the broker's start; differs where the idempotency window was lost [P4]. */
  readonly windowEpoch: () => string
}

/** The life of connections, from the handshake to the end. */
export class Connections {
  readonly #wiring: ConnectionsWiring
  readonly #ofEach: ConnectionWiring
  readonly #expiries: Expiries<Connection>
  readonly #told: Told
  #accepting = false

  constructor(wiring: ConnectionsWiring) {
    this.#wiring = wiring
    const { options, context, turn } = wiring
    this.#expiries = new Expiries(options.runtime, (connection) => connection.end(tokenExpired()))
    this.#told = {
      packet: (connection, incoming) => dispatch(context, connection, incoming),
      closed: (connection, reason) => {
        connection.gone()
        this.#left(connection, { code: null, reason })
      },
    }
    this.#ofEach = {
      runtime: options.runtime,
      limits: options.limits,
      budgets: context.budgets,
      turn,
      ending: () => context.fanOut.spread(),
      ended: (connection, error) => {
        this.#left(connection, { code: error.code, reason: error.message })
      },
    }
  }

  /** What the transport is told. */
  get events(): TransportEvents {
    return {
      accepting: () => this.#accepting,
      admit: (handshake) => this.#admit(handshake),
      abandoned: (connectionId) => this.#wiring.context.hub.release(connectionId),
      opened: (peer, facts) => this.#opened(peer, facts),
      refused: (error, { connectionId }) =>
        this.#wiring.context.journal.denied(error, { connectionId, event: 'connect' }),
      failed: (error, where) => this.#wiring.context.journal.failed(error, where),
    }
  }

  get accepting(): boolean {
    return this.#accepting
  }

  set accepting(accepting: boolean) {
    this.#accepting = accepting
  }

  /** Ends every connection; they may come back to another server. */
  endAll(error: RealtimeError): void {
    for (const connection of Array.from(this.#wiring.context.hub.connections.values())) {
      connection.end(error)
    }
  }

  /**
   * Ends connections whose token has expired while their timer stood still or the clock was set
   * forwards [P10].
   */
  endExpired(): void {
    this.#expiries.sweep()
  }

  /** Ends connections from which no packet at all has come for so long [L10]. */
  endStale(timeoutMs: number): number {
    const { hub, runtime } = this.#wiring.context
    const now = runtime.monotonicNow()
    let ended = 0
    for (const connection of Array.from(hub.connections.values())) {
      const silentMs = now - connection.peer.lastPacketAt
      if (silentMs <= timeoutMs) continue
      const message = `nothing was heard for ${Math.round(silentMs)} ms`
      connection.end(new RealtimeError('stale', message))
      ended += 1
    }
    return ended
  }

  async #admit(handshake: Handshake): Promise<User> {
    const { options, context } = this.#wiring
    const { runtime, logger, limits, authenticate, anonymous } = options
    const { handshakeTimeoutMs } = limits
    const how = { authenticate, anonymous, handshakeTimeoutMs }
    const user = await admit(handshake, how, { runtime, logger })
    if (!this.#accepting) throw closingError()
    context.hub.reserve(handshake.connectionId, user.userId, handshake.client?.instance)
    return user
  }

  #opened(peer: Peer, { user, handshake }: { user: User; handshake: Handshake }): PeerHandler {
    const { options, context } = this.#wiring
    const client = handshake.client ?? UNKNOWN
    const connection = new Connection({ user, client, peer }, this.#ofEach)
    const replaced = context.hub.instanceOf(user.userId, client.instance)
    context.hub.add(connection)
    connection.emit('connected', connectedEvent(connection, options, this.#wiring.windowEpoch()))
    // At once: whatever the application sends through Socket.IO itself comes after it [W3].
    connection.outlet.flush()
    if (replaced !== undefined) {
      const older = isOlder(connection, replaced) ? connection : replaced
      older.end(
        new RealtimeError('kicked', 'a newer connection of the same client has taken its place'),
      )
    }
    context.journal.connected(connectionSnapshot(connection))
    if (this.#accepting) this.#watchExpiry(connection)
    else connection.end(closingError())
    return new OpenedConnection(connection, this.#told)
  }

  /** Ends the connection when its token expires [P10]. */
  #watchExpiry(connection: Connection): void {
    // A listener of the application's may have ended it.
    if (connection.user.expiresAt === undefined || connection.ended) return
    if (connection.expiresAt <= this.#wiring.options.runtime.wallNow()) {
      connection.end(tokenExpired())
    } else {
      this.#expiries.add(connection)
    }
  }

  #left(connection: Connection, why: { code: RealtimeError['code'] | null; reason: string }): void {
    const { context, slow } = this.#wiring
    const { hub, journal } = context
    if (!hub.connections.has(connection.id)) return
    const snapshot = connectionSnapshot(connection)
    this.#expiries.remove(connection)
    slow.forget(connection)
    for (const { topic } of hub.remove(connection)) tellBroker(context, topic)
    journal.disconnected(snapshot, why.code, why.reason)
  }
}

/** What happens to any connection. */
interface Told {
  readonly packet: (connection: Connection, incoming: Incoming) => void
  readonly closed: (connection: Connection, reason: string) => void
}

/** One connection, as its wire tells of it: an object of two fields, since there are so many. */
class OpenedConnection implements PeerHandler {
  readonly #connection: Connection
  readonly #told: Told

  constructor(connection: Connection, told: Told) {
    this.#connection = connection
    this.#told = told
  }

  packet(event: unknown, args: readonly unknown[], ackId: number | null): void {
    this.#told.packet(this.#connection, { event, args, ackId })
  }

  closed(reason: string): void {
    this.#told.closed(this.#connection, reason)
  }
}

function tokenExpired(): RealtimeError {
  return new RealtimeError('token_expired', 'the token has expired')
}

/** A client that says nothing of itself. */
const UNKNOWN: ClientFacts = Object.freeze({})

/** How long clients of a closing server stay away at least. */
const CLOSING_RETRY_MS = 1_000

/** What those are told whom a closing server ends or refuses. */
export function closingError(): RealtimeError {
  return new RealtimeError('server_closing', 'the server is closing', {
    retryAfterMs: CLOSING_RETRY_MS,
  })
}
