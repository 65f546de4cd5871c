import type { Limits } from './limits.js'
import type { BucketRate } from './token-bucket.js'

/** The budgets of a connection [L6][L7]: made once for a server, since every request takes from one. */
export interface Budgets {
  readonly publishes: BucketRate
  readonly publishBytes: BucketRate
  readonly requests: BucketRate
}

export function budgetsOf(limits: Limits): Budgets {
  return {
    publishes: { perSecond: limits.publishesPerSecond, burst: limits.publishBurst },
    publishBytes: { perSecond: limits.publishBytesPerSecond, burst: limits.publishBytesBurst },
    requests: { perSecond: limits.requestsPerSecond, burst: limits.requestBurst },
  }
}
