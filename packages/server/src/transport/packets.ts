import type { WireFailure } from '@bmt-central/realtime-protocol'
import type { Parcel } from './parcel.js'

/** A Socket.IO EVENT packet of the main namespace, from JSON that is already text. */
export function eventPacket(event: string, json: string): string {
  return `2["${event}",${json}]`
}

/** A Socket.IO ACK packet of the main namespace. */
export function ackPacket(ackId: number, json: string): string {
  return `3${ackId}[${json}]`
}

/** A parcel that must arrive. */
export function parcelOf(text: string, page: boolean = false): Parcel {
  return { text, bytes: Buffer.byteLength(text), ...(page && { page }) }
}

/** What a client is told of the end of its connection [W25], or why it gets none [W2]. */
export type EndingData = Pick<WireFailure, 'code' | 'message' | 'retryable' | 'retryAfterMs'>

export function endingData({ code, message, retryable, retryAfterMs }: EndingData): EndingData {
  return { code, message, retryable, ...(retryAfterMs !== undefined && { retryAfterMs }) }
}
