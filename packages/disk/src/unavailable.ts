import { RealtimeError } from '@bmt-central/realtime-protocol'

/** The answer to publishes while the disk fails. */
export function unavailable(cause?: unknown): RealtimeError {
  const what = 'the disk takes no publishes at present: the log of the server says why'
  return new RealtimeError('broker_unavailable', what, cause === undefined ? {} : { cause })
}
