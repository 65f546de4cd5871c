import type { RealtimeError, Runtime } from '@bmt-central/realtime-protocol'
import { errorOf } from './thrown.js'

/** How long a function of the application's may take: rules [P7], `onPublish` [R9], schemas. */
export const APPLICATION_LIMIT_MS = 5_000

/** Settles as `work` does, or rejects with what `late` makes after `ms`. `work` goes on unheard. */
export function withTimeLimit<T>(
  runtime: Runtime,
  work: Promise<T>,
  limit: { readonly ms: number; readonly late: () => RealtimeError },
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const cancel = runtime.after(limit.ms, () => reject(limit.late()))
    work.then(
      (value) => {
        cancel()
        resolve(value)
      },
      (error: unknown) => {
        cancel()
        reject(errorOf(error))
      },
    )
  })
}

/** Whether a value must be waited for: a promise of any library. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    ((typeof value === 'object' && value !== null) || typeof value === 'function') &&
    typeof (value as { then?: unknown }).then === 'function'
  )
}
