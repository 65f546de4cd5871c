/** Who is measured. */
export type Contender =
  'ours' | 'ours-disk-always' | 'ours-disk-interval' | 'socket-io' | 'ws-naive' | 'ws-joined'

export interface ServerOptions {
  /** 0: any free one. */
  readonly port: number
  /** The directory of a durable broker. */
  readonly dataDir: string | null
}

/** One server under load, in a process of its own. */
export interface BenchServer {
  readonly port: number
  readonly stop: () => Promise<void>
}

/** The key of every token in a run. */
export const TOKEN_SECRET = 'benchmark-secret-of-32-bytes-and-more'
