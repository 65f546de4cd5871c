import assert from 'node:assert/strict'
import { RealtimeError } from '@bmt-central/realtime-protocol'

/** What a call throws; it must be a `RealtimeError`. */
export function refusalOf(run: () => unknown): RealtimeError {
  try {
    run()
  } catch (error) {
    assert(error instanceof RealtimeError, `expected a RealtimeError, got ${String(error)}`)
    return error
  }
  return assert.fail('expected to be refused')
}

/** The message of a call that must be refused with `invalid_options`. */
export function invalidOptionsOf(run: () => unknown): string {
  const { code, message } = refusalOf(run)
  assert.equal(code, 'invalid_options')
  return message
}
