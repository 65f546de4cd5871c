import { RealtimeError } from '@bmt-central/realtime-protocol'
import type { BrokerLimits } from '@bmt-central/realtime-server/broker'

/** How a `DiskBroker` is made. Limits that are left out are the server's. */
export interface DiskBrokerOptions extends Partial<BrokerLimits> {
  /** The directory; made where it is not there. One process uses it at a time. */
  readonly path: string
  /**
   * `'always'` (default): acknowledged is what survives power loss. `'interval'`: acknowledged is
   * what survives the end of the process; the disk follows, and an unclean end on another boot
   * begins new epochs [P6].
   */
  readonly fsync?: 'always' | 'interval'
  /** How long a directory that another process holds is waited for, ms. Default 0. */
  readonly lockWaitMs?: number
}

const LEAST: Readonly<Record<string, number>> = {
  lockWaitMs: 0,
  idempotencyWindowMs: 1,
  maxIdempotencyIds: 1,
  maxRetainedBytes: 0,
  maxTopics: 1,
}

/** @throws RealtimeError `invalid_options`, naming the option */
export function checkOptions(options: DiskBrokerOptions): void {
  const fields = options as unknown
  if (typeof fields !== 'object' || fields === null) throw refused('the options of DiskBroker')
  for (const [name, value] of Object.entries(fields)) {
    if (name === 'path' || name === 'fsync' || value === undefined) continue
    const least = LEAST[name]
    if (least === undefined) throw refused(`DiskBroker.${name}`, 'is unknown')
    if (!Number.isSafeInteger(value) || (value as number) < least) {
      throw refused(`DiskBroker.${name}`, `must be a whole number of at least ${least}`)
    }
  }
  if (typeof options.path !== 'string' || options.path === '') {
    throw refused('DiskBroker.path', 'must be the path of a directory')
  }
  if (options.fsync !== undefined && !['always', 'interval'].includes(options.fsync)) {
    throw refused('DiskBroker.fsync', "must be 'always' or 'interval'")
  }
}

function refused(name: string, why = 'must be an object'): RealtimeError {
  return new RealtimeError('invalid_options', `${name} ${why}`)
}

/** [L18] where neither the broker nor the server says anything. */
const MAX_RETAINED_BYTES = 10 * 1_024 * 1_024 * 1_024

/** The broker's own options win over the server's limits. */
export function resolveLimits(
  options: DiskBrokerOptions,
  given: BrokerLimits,
): Required<BrokerLimits> {
  return {
    idempotencyWindowMs: options.idempotencyWindowMs ?? given.idempotencyWindowMs,
    maxIdempotencyIds: options.maxIdempotencyIds ?? given.maxIdempotencyIds,
    maxRetainedBytes: options.maxRetainedBytes ?? given.maxRetainedBytes ?? MAX_RETAINED_BYTES,
    maxTopics: options.maxTopics ?? given.maxTopics,
  }
}
