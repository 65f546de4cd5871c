import type { RealtimeError } from '@bmt-central/realtime-protocol'

/** What a connection says of itself before anything else [W2]. */
export interface Handshake {
  /** Left out where there is none. */
  readonly token?: string
  readonly protocol: number
  readonly client: {
    readonly name: string
    readonly version: string
    /** One client object: its new connection replaces its old one at the server. */
    readonly instance: string
    /** One higher for each link of the client: one that was dropped never replaces a later one. */
    readonly attempt: number
  }
}

/** What a link reports. Never from inside `CreateLink`, and never after `drop()`. */
export interface LinkListener {
  /** Anything at all arrived, also what only keeps the transport alive [C5]. */
  packet(): void
  /** An event of the server; in the order of arrival, together with the answers of requests. */
  event(name: string, data: unknown): void
  /** It was refused, could not be opened, or has ended. At most once, and nothing follows. */
  down(cause: RealtimeError): void
}

/**
 * One wire to the server: one attempt, one connection, never used again. It is admitted when the
 * server's `connected` has arrived as an event; nothing is sent before that.
 */
export interface Link {
  /** `answer` is called at most once, with what the server acknowledged; not when the link ends. */
  request(event: string, data: object, answer: (acknowledgement: unknown) => void): void
  /** Ends it at once, also where the other side is long gone. Calling it again does nothing. */
  drop(): void
}

/** Begins to open a link. May throw where that is impossible. */
export type CreateLink = (handshake: Handshake, listener: LinkListener) => Link
