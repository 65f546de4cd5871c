import { fieldsOption, integerOption, refuseKeys } from '../option-values.js'
import type { BrokerLimits } from './broker.js'

/** The least value that each limit may have. */
const LEAST: Readonly<Record<keyof BrokerLimits, number>> = {
  idempotencyWindowMs: 1,
  maxIdempotencyIds: 1,
  maxRetainedBytes: 0,
  maxTopics: 1,
}

/**
 * The fields of a broker's options, in which the limits are in order and nothing is but those and
 * `others`, which the broker checks itself.
 * @throws RealtimeError `invalid_options`, naming the option
 */
export function limitOptions(
  broker: string,
  options: unknown,
  others: readonly string[] = [],
): Readonly<Record<string, unknown>> {
  const fields = fieldsOption(`the options of ${broker}`, options)
  refuseKeys(broker, fields, { known: [...others, ...Object.keys(LEAST)] })
  for (const [name, least] of Object.entries(LEAST)) {
    if (fields[name] !== undefined) integerOption(`${broker}.${name}`, fields[name], least)
  }
  return fields
}
