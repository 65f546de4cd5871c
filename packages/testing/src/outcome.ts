import type { Subscription } from '@bmt-central/realtime'
import type { Gap, Position, RealtimeError } from '@bmt-central/realtime-protocol'

/** What one listener was told, in order. */
export type Told =
  | { readonly seq: number; readonly epoch: string; readonly id: string }
  /** It is live from here on. */
  | { readonly live: Position }
  | {
      readonly gap: Gap
      /** The head of the gap's epoch when it was told. */
      readonly head: number
    }

export interface Listening {
  readonly topic: string
  readonly told: Told[]
  readonly subscription: Subscription
}

export interface Publishing {
  readonly id: string
  readonly topic: string
  readonly abort: AbortController
  result: 'pending' | { readonly epoch: string; readonly seq: number } | RealtimeError
  /** How often it went over a wire. */
  sendings: number
  /** How often the outbox said that it was settled. */
  finals: number
}
