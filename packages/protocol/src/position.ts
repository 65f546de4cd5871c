/** A place in a stream. Within an epoch `seq` grows by exactly 1 per publication. */
export interface Position {
  /** Opaque; changes when part of the stream's past was or may have been lost. `''`: ephemeral [P11]. */
  readonly epoch: string
  readonly seq: number
}

/** What is missing of a stream [P3]: first and last missing seq, null where unknown. */
export interface Gap {
  readonly from: number | null
  readonly to: number | null
  readonly epoch: string
  readonly reason: 'expired' | 'epoch_changed'
}

/** How a publication relates to the last one delivered. */
export type Placement = 'deliver' | 'duplicate' | 'gap' | 'new_epoch'

/**
 * The one ordering decision of the client [P1][P2]: total, pure. `last` is the position up to which
 * everything was delivered; null where nothing is known, and then whatever comes is delivered.
 */
export function place(last: Position | null, next: Position): Placement {
  if (last === null) return 'deliver'
  if (last.epoch !== next.epoch) return 'new_epoch'
  if (next.seq <= last.seq) return 'duplicate'
  return next.seq === last.seq + 1 ? 'deliver' : 'gap'
}

/** What a stream holds when a reader comes: its head, and the oldest publication still retained. */
export interface StreamBounds {
  readonly epoch: string
  /** `seq` of the newest publication; 0 where there was none in this epoch. */
  readonly head: number
  /** `seq` of the oldest retained publication; `head + 1` where none is retained. */
  readonly oldest: number
}

/**
 * What a reader who has everything up to `since` misses for good [P3], or null. The same decision
 * for `subscribe` and `history`, in every broker.
 */
export function gapSince(since: Position, stream: StreamBounds): Gap | null {
  const { epoch, head, oldest } = stream
  if (since.epoch !== epoch || since.seq > head) {
    // The first publications of the new epoch may have gone already: then `to` names the last of them.
    return { from: null, to: oldest > 1 ? oldest - 1 : null, epoch, reason: 'epoch_changed' }
  }
  if (since.seq + 1 >= oldest) return null
  return { from: since.seq + 1, to: oldest - 1, epoch, reason: 'expired' }
}

/** The position after which the reader's publications follow, once `gapSince` has spoken. */
export function resumeAfter(since: Position, gap: Gap | null): number {
  if (gap === null) return since.seq
  return gap.to ?? 0
}
