import { RealtimeError, type ConnectionEvent, type RealtimeClient } from '@bmt-central/realtime'
import { until, within } from './until.js'

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
