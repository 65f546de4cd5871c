/** How long anything may take before a test fails with a reason instead of a time-out. */
const PATIENCE_MS = 20_000
const LOOK_EVERY_MS = 4

/** Resolves when a condition is met; rejects with what was waited for, and how things stood. */
export async function until(
  condition: () => boolean,
  what: string,
  state?: () => unknown,
): Promise<void> {
  const deadlineAt = performance.now() + PATIENCE_MS
  while (!condition()) {
    if (performance.now() > deadlineAt) {
      const stood = state === undefined ? '' : `; it stood at ${JSON.stringify(state())}`
      throw new Error(`waited in vain for ${what}${stood}`)
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS))
  }
}

/** Settles as the promise does, or rejects with what was waited for. */
export async function within<T>(promise: Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  try {
    return await Promise.race([
      promise,
      new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error(`waited in vain for ${what}`)), PATIENCE_MS)
      }),
    ])
  } finally {
    clearTimeout(timer)
  }
}

/** Lets everything that is on its way through the event loop arrive: a few turns, no time. */
export async function turns(count = 20): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) {
    await new Promise((resolve) => setImmediate(resolve))
  }
}
