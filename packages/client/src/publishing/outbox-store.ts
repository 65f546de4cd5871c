/** One publish as a store keeps it. */
export interface OutboxRecord {
  /** Its place in the order: a whole number, higher than that of every record before it. */
  readonly key: number
  /** Plain objects, lists, strings, numbers, booleans, null and `Uint8Array`: a structured clone. */
  readonly value: unknown
}

export interface OutboxChanges {
  /** New ones, and others in the place of those with the same key. */
  readonly put: readonly OutboxRecord[]
  /** Keys; those that there are not are no fault. */
  readonly remove: readonly number[]
}

/** A store in the hand of one client, until `close`. */
export interface HeldStore {
  /** What it held at `open`, in ascending order of their keys. */
  readonly records: readonly OutboxRecord[]
  /**
   * Everything or nothing, on the disk once it resolves; called again only after that. Where it
   * rejects, the client asks once more to remove what has changed; where that rejects as well, or
   * takes longer than 5 s, the client goes on without the store.
   */
  write(changes: OutboxChanges): Promise<void>
  /** Lets another client have it. */
  close(): void
}

/** Keeps queued publishes while no client runs. Never sees a token. */
export interface OutboxStore {
  /**
   * Resolves once this client alone holds the store, however long another one does. Rejects where
   * it cannot be had, and where `signal` says that it is not wanted any more while it waits.
   */
  open(signal: AbortSignal): Promise<HeldStore>
}
