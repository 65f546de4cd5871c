import {
  integerOption,
  invalidOption,
  limitOptions,
  type BrokerLimits,
} from '@bmt-central/realtime-server/broker'

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

/** What is no limit. */
const OWN = ['path', 'fsync', 'lockWaitMs']

/** @throws RealtimeError `invalid_options`, naming the option */
export function checkOptions(options: DiskBrokerOptions): void {
  const { path, fsync, lockWaitMs } = limitOptions('DiskBroker', options, OWN)
  if (typeof path !== 'string' || path === '') {
    throw invalidOption('DiskBroker.path', 'the path of a directory', path)
  }
  if (fsync !== undefined && fsync !== 'always' && fsync !== 'interval') {
    throw invalidOption('DiskBroker.fsync', "'always' or 'interval'", fsync)
  }
  if (lockWaitMs !== undefined) integerOption('DiskBroker.lockWaitMs', lockWaitMs, 0)
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
