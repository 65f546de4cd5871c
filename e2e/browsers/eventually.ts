import { vi } from 'vitest'

/** How long something that has to come may take: the machine may be slow, a failure is not. */
export const PATIENCE_MS = 60_000

/** Waits until an assertion holds; its last failure is the test's. */
export function eventually(assertion: () => Promise<void>): Promise<void> {
  return vi.waitFor(assertion, { timeout: PATIENCE_MS, interval: 100 })
}
