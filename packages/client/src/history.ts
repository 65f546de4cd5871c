import {
  decodeHistoryPage,
  decodeHistoryQuery,
  parseTopic,
  RealtimeError,
  type Cancel,
  type HistoryPage,
  type Runtime,
  type Topic,
} from '@bmt-central/realtime-protocol'
import type { Session } from './connection/session.js'

/** What part of the stream [W13]: with neither `since` nor `before` the newest. */
export interface HistoryOptions {
  /** The oldest after this position. */
  readonly since?: { readonly epoch: string; readonly seq: number }
  /** The newest before this `seq` or position. */
  readonly before?: number | { readonly epoch: string; readonly seq: number }
  /** Default 50, at most the server's `maxPageMessages`. */
  readonly limit?: number
  /** Rejects with `aborted`. */
  readonly signal?: AbortSignal
}

export interface HistoryParts {
  readonly runtime: Runtime
  readonly timeoutMs: number
  readonly session: () => Session | null
  readonly denied: (topic: Topic) => RealtimeError | null
}

/**
 * One page of a stream [W13]. Needs the right to subscribe, and a connection.
 * @throws RealtimeError `not_connected` · `permission_denied` · `timeout` · `aborted` ·
 *   `invalid_topic` · `invalid_message`
 */
export async function readHistory(
  { runtime, timeoutMs, session, denied }: HistoryParts,
  channel: string,
  options: HistoryOptions,
): Promise<HistoryPage> {
  const { signal, ...query } = options
  const topic = parseTopic(channel)
  const request = { topic, ...decodeHistoryQuery(query) }
  const live = session()
  if (live === null) throw new RealtimeError('not_connected', `history of ${topic}: not connected`)
  const refused = denied(topic)
  if (refused !== null) throw refused
  let cancel: Cancel = () => undefined
  let abort = (): void => undefined
  try {
    const answer = await new Promise<unknown>((resolve, reject) => {
      abort = () => {
        const cause: unknown = signal?.reason
        reject(new RealtimeError('aborted', `history of ${topic}: aborted`, { cause }))
      }
      if (signal?.aborted) return abort()
      signal?.addEventListener('abort', abort)
      cancel = runtime.after(timeoutMs, () => {
        reject(new RealtimeError('timeout', `history of ${topic}: no answer in ${timeoutMs} ms`))
      })
      live.requests.take(1)
      live.request('history', request, (acknowledgement, failure) =>
        failure === null ? resolve(acknowledgement) : reject(failure),
      )
    })
    return decodeHistoryPage(answer)
  } finally {
    cancel()
    signal?.removeEventListener('abort', abort)
  }
}
