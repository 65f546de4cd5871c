import type { Topic } from '@bmt-central/realtime-protocol'

/** One sequenced message: what brokers retain and announce, and what `message` events are made of. */
export interface Publication {
  readonly topic: Topic
  readonly id: string
  readonly from: string | null
  /** 0 for ephemeral topics, whose `epoch` is `''` [P11]. */
  readonly seq: number
  readonly epoch: string
  readonly payloadJson: string
  readonly payloadBytes: number
  /** ms since the Unix epoch, the broker's clock at append. */
  readonly timestamp: number
}
