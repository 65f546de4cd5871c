import type { Topic } from '@bmt-central/realtime-protocol'
import type { Maybe } from '../broker/broker.js'
import type { Connection } from '../hub/connection.js'
import type { RequestContext } from './context.js'

/**
 * Carries a publish out after the one that an earlier connection of the same client object has left
 * in progress in the topic, if there is one: its sender may have given that one up with its outcome
 * unknown, and gone on with the next, which must not overtake it [P1]. Publishes of one connection
 * do not meet here: they come one by one [W6].
 */
export function inInstanceOrder(
  { unfinished }: RequestContext,
  { user, client }: Connection,
  { topic, run }: { readonly topic: Topic; readonly run: () => Maybe<void> },
): Maybe<void> {
  const { instance } = client
  if (instance === undefined) return run()
  const key = `${user.userId}\n${instance}\n${topic}`
  const earlier = unfinished.get(key)
  const result = earlier === undefined ? run() : earlier.then(run, run)
  if (!(result instanceof Promise)) return result
  unfinished.set(key, result)
  return result.finally(() => {
    if (unfinished.get(key) === result) unfinished.delete(key)
  })
}
