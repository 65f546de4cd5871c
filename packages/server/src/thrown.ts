import { kindOf } from '@bmt-central/realtime-protocol'

/** What an application threw, as an error. */
export function errorOf(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(textOf(thrown))
}

/** As text. Not everything that can be thrown can be made a string of. */
export function textOf(thrown: unknown): string {
  try {
    return String(thrown)
  } catch {
    return `${kindOf(thrown)} without a text`
  }
}
