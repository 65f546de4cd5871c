/** Room for everything that a test appends. */
export const KEEP_ALL = {
  delivery: 'recoverable',
  size: 10_000,
  ttlMs: 86_400_000,
  bytes: 2 ** 28,
} as const

export const LIMITS = {
  idempotencyWindowMs: 300_000,
  maxIdempotencyIds: 10_000,
  maxTopics: 1_000,
  maxRetainedBytes: 2 ** 30,
}
