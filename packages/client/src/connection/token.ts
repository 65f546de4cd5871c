import { RealtimeError, type Cancel, type Runtime } from '@bmt-central/realtime-protocol'

/** A token, where one comes from, or null: none. */
export type Auth = string | null | (() => string | null | Promise<string | null>)

const LIMIT_MS = 10_000

/**
 * The token for one connect [C6]; null where there is none.
 * @throws RealtimeError `not_connected`, with what `auth()` threw as its cause
 */
export async function askForToken(runtime: Runtime, auth: Auth): Promise<string | null> {
  if (typeof auth !== 'function') return auth
  let cancel: Cancel = () => undefined
  try {
    const limit = new Promise<never>((_, reject) => {
      const late = (): void => reject(new Error(`it took longer than ${LIMIT_MS} ms`))
      cancel = runtime.after(LIMIT_MS, late)
    })
    const token: unknown = await Promise.race([auth(), limit])
    // What is neither is most likely forgotten (`undefined`) or the whole answer of a request.
    if (typeof token === 'string' || token === null) return token
    throw new TypeError(`it gave ${typeof token} instead of a string or null`)
  } catch (cause) {
    throw new RealtimeError('not_connected', 'there is no token: auth() failed', { cause })
  } finally {
    cancel()
  }
}
