/** A server that speaks wire protocol 1, set up as `server-rules.ts` says. */
export interface WireTarget {
  /** Where it listens: `http://127.0.0.1:3000`. */
  readonly url: string
  /** A token for a user. Under `--dev`: `dev:<userId>[:<role>[:<permission>,…]]`. */
  readonly token: (userId: string, role?: string, permissions?: readonly string[]) => string
  /** What only a server of one's own process can do; without it, those cases are skipped by name. */
  readonly own?: OwnServer
}

/** `SLOW_RULE` is among its rules, and `WIRE_OWN_EVENT` is answered. */
export interface OwnServer {
  /** Another server of the same kind, to be stopped. */
  readonly another: () => Promise<RunningServer>
}

export interface RunningServer {
  readonly url: string
  readonly stop: () => Promise<void>
}
