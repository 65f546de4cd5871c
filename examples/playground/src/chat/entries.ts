import type { Gap, Position } from '@bmt-central/realtime-protocol'

/** What a chat room's publications hold. */
export interface ChatPayload {
  readonly text: string
  readonly name: string
}

/** What became of a message of one's own. */
export type Delivery =
  | { readonly state: 'queued' }
  | { readonly state: 'sent' }
  /** `deliveredTo` is null where the message itself came, and its acknowledgement did not. */
  | { readonly state: 'acknowledged'; readonly deliveredTo: number | null }
  | { readonly state: 'failed'; readonly failure: DeliveryFailure }

export interface DeliveryFailure {
  readonly code: string
  readonly message: string
  /** It was on the wire: whether it arrived is not known. */
  readonly unknown: boolean
  readonly retryable: boolean
}

export interface ChatMessage {
  readonly kind: 'message'
  /** The message id. */
  readonly key: string
  readonly from: string | null
  readonly name: string
  readonly text: string
  /** ms since the Unix epoch. */
  readonly at: number
  readonly own: boolean
  /** Where it stands in the stream; null while that is not known. */
  readonly place: Position | null
  /** Whether the subscription has delivered it. */
  readonly seen: boolean
  /** Of one's own only. */
  readonly delivery: Delivery | null
}

/** A line between messages: what a recovery brought, or what cannot be known. */
export type Notice =
  | {
      readonly kind: 'recovered'
      readonly key: string
      readonly count: number
      /** What our own count says against it; both 0 unless something is wrong. */
      readonly lost: number
      readonly twice: number
    }
  | { readonly kind: 'gap'; readonly key: string; readonly gap: Gap }

export type Entry = ChatMessage | Notice
