/** Texts handed to the wire together, and what to run once the network has taken them. */
export interface Handover {
  /** Socket.IO packets as text, in order. */
  readonly packets: readonly string[]
  /** Their UTF-8 length together. */
  readonly bytes: number
  /** Runs once the operating system, or the poll in progress, has taken them; not where the wire ended first. */
  readonly taken: () => void
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
