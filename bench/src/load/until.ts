const LOOK_EVERY_MS = 2

export const sleep = (ms: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, ms))

/** Resolves when a condition holds; rejects with what it waited for. */
export async function until(
  holds: () => boolean,
  what: () => string,
  patienceMs = 60_000,
): Promise<void> {
  const deadline = performance.now() + patienceMs
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`waited in vain for ${what()}`)
    await sleep(LOOK_EVERY_MS)
  }
}
