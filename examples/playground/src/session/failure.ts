import { RealtimeError } from '@bmt-central/realtime'
import type { DeliveryFailure } from '../chat/entries.js'
import type { Failure } from '../state.js'

/** An error as the page keeps it: its code, which the dictionaries know, and its own words. */
export function failureOf(error: unknown): Failure {
  if (error instanceof RealtimeError) return { code: error.code, message: error.message }
  return { code: 'other', message: error instanceof Error ? error.message : String(error) }
}

/** What a rejected publish means for its message. */
export function deliveryFailureOf(error: unknown): DeliveryFailure {
  const unknown = error instanceof RealtimeError && error.details?.['outcome'] === 'unknown'
  return {
    ...failureOf(error),
    unknown,
    // Refused as it is: sending the same again would be refused again.
    retryable: unknown || !(error instanceof RealtimeError) || !isAboutContent(error),
  }
}

function isAboutContent(error: RealtimeError): boolean {
  return (
    error.code === 'validation_failed' ||
    error.code === 'payload_too_large' ||
    error.code === 'invalid_message'
  )
}
