import type { StreamPolicy, WindowCut } from '@bmt-central/realtime-server/broker'

export const FORMAT = 1

/** How the store was left. JSON. */
export interface MetaRecord {
  readonly format: number
  readonly baseEpoch: string
  readonly windowEpoch: string
  readonly fsync: 'always' | 'interval'
  /** Null after a clean end. */
  readonly openOnBoot: string | null
  /** Tells the file that was opened from a copy of it. */
  readonly openFile: string
  /** The next topic's; none is given twice. */
  readonly nextNumber: number
  /** The broker's own clock when this was written: it goes on from there. */
  readonly clockAtMs: number
  /** Where accepted ids were forgotten before their time [P4][L17]; instants of that clock. */
  readonly cut: WindowCut | null
}

/** What is kept of a topic besides its publications. JSON; instants are of the broker's own clock. */
export interface TopicRecord {
  readonly topic: string
  readonly epoch: string
  readonly head: number
  /** Of the retained publications; `head + 1` where none is retained. */
  readonly oldest: number
  /** Payload bytes retained. */
  readonly bytes: number
  /** What they take on the disk, about. */
  readonly held: number
  readonly usedAtMs: number
  readonly policy: Pick<StreamPolicy, 'size' | 'ttlMs' | 'bytes'>
  /** What the stream was before it was repaired: its accepted ids are still remembered [P4]. */
  readonly earlier?: { readonly number: number; readonly epoch: string }
}

/** Publications of a forgotten topic that are still to be removed. JSON. */
export interface DoomedRecord {
  readonly from: number
  readonly end: number
}
