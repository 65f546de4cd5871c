import { kindOf, RealtimeError } from '@bmt-central/realtime-protocol'

/** What is said of an option that cannot be used: its name, what was expected, what was given. */
export function invalidOption(name: string, expected: string, got: unknown): RealtimeError {
  return new RealtimeError('invalid_options', `${name} must be ${expected}, got ${shown(got)}`)
}

/** Strings and numbers are shown, anything else only by its kind: it may hold a secret. */
function shown(value: unknown): string {
  if (typeof value === 'string') return `${JSON.stringify(value.slice(0, 100))} (string)`
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  return kindOf(value)
}

/** A whole number of at least `min`. @throws RealtimeError `invalid_options` */
export function integerOption(name: string, value: unknown, min: number): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < min) {
    throw invalidOption(name, `a whole number of at least ${min}`, value)
  }
  return value
}

/** A finite number above 0. @throws RealtimeError `invalid_options` */
export function positiveOption(name: string, value: unknown): number {
  if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0) {
    throw invalidOption(name, 'a number above 0', value)
  }
  return value
}

/** @throws RealtimeError `invalid_options` */
export function booleanOption(name: string, value: unknown): boolean {
  if (typeof value !== 'boolean') throw invalidOption(name, 'true or false', value)
  return value
}

/** The fields of an options object. @throws RealtimeError `invalid_options` */
export function fieldsOption(name: string, value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalidOption(name, 'an object', value)
  }
  return value as Readonly<Record<string, unknown>>
}

/**
 * Refuses keys that do nothing: a misspelt limit would otherwise be no limit. Keys whose value is
 * `undefined` count as left out.
 * @throws RealtimeError `invalid_options`, naming the key
 */
export function refuseKeys(
  name: string,
  fields: Readonly<Record<string, unknown>>,
  keys: { readonly known: readonly string[]; readonly later?: readonly string[] },
): void {
  for (const key of Object.keys(fields)) {
    if (fields[key] === undefined || keys.known.includes(key)) continue
    const why = keys.later?.includes(key)
      ? 'comes later: this version does not have it'
      : `is unknown; possible are ${keys.known.join(', ')}`
    throw new RealtimeError('invalid_options', `${name === '' ? '' : `${name}.`}${key} ${why}`)
  }
}

/** The fields without those that are `undefined`, so that defaults are not overwritten by nothing. */
export function definedFields<T extends object>(fields: T): Partial<T> {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined),
  ) as Partial<T>
}
