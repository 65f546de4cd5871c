import { RealtimeError, type ConnectionEvent, type RealtimeClient } from '@bmt-central/realtime'
import { fromWireFailure } from '@bmt-central/realtime-protocol'
import { until, within } from './until.js'
import { PlainClient, type Fields } from './wire/plain-client.js'

/** The error that a promise rejects with; handled at once, so that nothing is ever unhandled. */
export function failureOf(promise: Promise<unknown>): Promise<RealtimeError> {
  const failure = promise.then(
    () => Promise.reject(new Error('it did not reject')),
    (error: unknown) => {
      if (error instanceof RealtimeError) return error
      throw error
    },
  )
  failure.catch(() => undefined)
  return within(failure, 'an error')
}

/** All that a client tells of its connection. */
export function connectionOf(client: RealtimeClient): ConnectionEvent[] {
  const told: ConnectionEvent[] = []
  client.onConnection((event) => told.push(event))
  return told
}

/** The first error that a client tells of its connection from now on. */
export async function connectionErrorOf(client: RealtimeClient): Promise<RealtimeError> {
  const told = connectionOf(client)
  const find = () => told.find(({ error }) => error !== undefined)?.error
  await until(
    () => find() !== undefined,
    'an error of the connection',
    () => told,
  )
  const error = find()
  if (error === undefined) throw new Error('there is no error')
  return error
}

/** What the server answers an ordinary Socket.IO client: for what ours never sends, or tries again. */
export async function refusalByWire(
  { url, token = 'dev:plain' }: { url: string; token?: string },
  requests: readonly (readonly [event: string, data: Fields])[],
): Promise<RealtimeError> {
  const plain = new PlainClient(url, { auth: { token } })
  try {
    await plain.heard('connected')
    let answer: Fields = {}
    for (const [event, data] of requests) answer = await plain.request(event, data)
    if (answer['status'] !== 'error') throw new Error('the last request was not refused')
    return fromWireFailure(answer)
  } finally {
    plain.socket.disconnect()
  }
}
