import type { Bundle } from './bundle.js'
import type { SizedText } from './frames.js'

/** Who hands over. */
export interface Taker {
  /**
   * Called with the `bytes` of a handover once the operating system, or the poll in progress, has taken
   * it, also within `write`; not where the wire ended first.
   */
  taken(bytes: number): void
}

/** What is handed to the wire together. */
export interface Handover {
  /** Socket.IO packets of this connection alone, in order. */
  readonly packets: readonly SizedText[]
  /** What others get, too: after `packets`. */
  readonly shared: Bundle | null
  /** The UTF-8 length of all packets together. */
  readonly bytes: number
  readonly taker: Taker
}

/** One authenticated wire, as the rest of the server sees it (style D14). */
export interface Peer {
  readonly connectionId: string
  /** The client's address: of the socket, or of the proxy's header where the service trusts it. */
  readonly address: string
  /** `websocket` or `polling`, as of now. */
  readonly transport: string
  /** When the last packet of any kind arrived, by the monotonic clock [L10]. */
  readonly lastPacketAt: number
  write(handover: Handover): void
  /**
   * Ends the wire within 1 s. `final` sends Socket.IO's DISCONNECT first, so that ordinary clients
   * stay away; otherwise the transport closes and they come back by themselves [W25].
   */
  end(final: boolean): void
}
