import { RealtimeError } from '@bmt-central/realtime-protocol'
import type { Connection } from '../hub/connection.js'
import { takeTokens } from '../limits/token-bucket.js'
import type { RequestContext } from './context.js'

/**
 * Every request takes from one of two budgets: a publish that is carried out from that of [L6],
 * everything else from that of [L7]: resends [P4], and publishes that are refused before their turn.
 *
 * @throws RealtimeError `rate_limited` [L7]
 */
export function takeRequest(
  { budgets, runtime }: RequestContext,
  connection: Connection,
  cost: number = 1,
): void {
  const rate = budgets.requests
  const waitMs = takeTokens(connection.requestBucket, rate, cost, runtime.monotonicNow())
  if (waitMs > 0) throw rateLimited(`${rate.perSecond} requests`, waitMs)
}

/** @throws RealtimeError `rate_limited` [L6] */
export function takePublish(
  { budgets, runtime }: RequestContext,
  connection: Connection,
  bytes: number,
): void {
  const now = runtime.monotonicNow()
  const { publishes: count, publishBytes: volume } = budgets
  const waitMs = takeTokens(connection.publishBucket, count, 1, now)
  if (waitMs > 0) throw rateLimited(`${count.perSecond} publishes`, waitMs)
  const volumeWaitMs = takeTokens(connection.publishBytesBucket, volume, bytes, now)
  if (volumeWaitMs === 0) return
  connection.publishBucket.tokens += 1
  throw rateLimited(`${volume.perSecond} bytes of publishes`, volumeWaitMs)
}

function rateLimited(what: string, waitMs: number): RealtimeError {
  return new RealtimeError('rate_limited', `more than ${what} a second`, {
    retryAfterMs: Math.ceil(waitMs),
  })
}
