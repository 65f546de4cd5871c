import type { RealtimeError } from '@bmt-central/realtime'

/** One way in which an error comes about. */
export interface Producer {
  /** The rules that it proves, and what is done. */
  readonly title: string
  readonly run: () => Promise<RealtimeError>
}
