/** How long to wait before trying again. */
export interface BackoffOptions {
  readonly baseMs: number
  readonly capMs: number
}

const SHORTEST_MS = 100
const HALVED_EVERY_MS = 10_000

/**
 * ms before attempt `exponent` (from 0) [C3]: a random share of what doubles from `baseMs` up to
 * `capMs`, or a little more than what the server asked for. `random` is of [0, 1).
 */
export function backoffMs(
  exponent: number,
  random: number,
  options: BackoffOptions & { readonly retryAfterMs?: number | undefined },
): number {
  const { baseMs, capMs, retryAfterMs } = options
  if (retryAfterMs !== undefined) return retryAfterMs + random * Math.max(1_000, retryAfterMs / 2)
  return Math.max(SHORTEST_MS, random * Math.min(capMs, baseMs * 2 ** exponent))
}

/** What is left of the exponent after a connection that lasted so long [C3]. */
export function relaxedExponent(exponent: number, connectedMs: number): number {
  return Math.floor(exponent / 2 ** Math.floor(connectedMs / HALVED_EVERY_MS))
}
