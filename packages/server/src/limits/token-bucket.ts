/** What is left to spend. Plain data that `takeTokens` changes in place: there are three for each connection. */
export interface TokenBucket {
  tokens: number
  /** Instant up to which `tokens` were counted, ms of the clock that the caller passes in. */
  updatedAtMs: number
}

/** How fast a bucket fills, and how much it holds. */
export interface BucketRate {
  readonly perSecond: number
  readonly burst: number
}

/** Sums of fractions are a little off: so much may be missing of what a caller was told to wait for. */
const ROUNDING = 1e-6

/** A full bucket. */
export function newBucket(rate: BucketRate, nowMs: number): TokenBucket {
  return { tokens: rate.burst, updatedAtMs: nowMs }
}

/**
 * Takes `cost` tokens. Gives 0 where they were taken, else the ms after which the same call would
 * succeed if nobody took any meanwhile; then nothing was taken. What costs more than the bucket
 * holds is possible when it is full, and leaves a debt: no cost is refused for ever, and the rate
 * holds in the long run. A clock that runs backwards fills nothing and takes nothing away.
 */
export function takeTokens(
  bucket: TokenBucket,
  rate: BucketRate,
  cost: number,
  nowMs: number,
): number {
  if (nowMs > bucket.updatedAtMs) {
    const filled = bucket.tokens + ((nowMs - bucket.updatedAtMs) * rate.perSecond) / 1_000
    bucket.tokens = Math.min(rate.burst, filled)
    bucket.updatedAtMs = nowMs
  }
  const needed = Math.min(cost, rate.burst) - ROUNDING
  if (bucket.tokens >= needed) {
    bucket.tokens -= cost
    return 0
  }
  // Counted from `nowMs`, also where the clock has run backwards to before the last call.
  const behindMs = Math.max(0, bucket.updatedAtMs - nowMs)
  return Math.max(1, Math.ceil(((needed - bucket.tokens) * 1_000) / rate.perSecond) + behindMs)
}
