import { RealtimeError } from '@bmt-central/realtime-protocol'
import type { Connection, Job } from '../hub/connection.js'
import type { RequestContext } from './context.js'

/**
 * Starts a request where it has a place, or lets it wait for one [L15]. Requests that wait go in order.
 * @throws RealtimeError `rate_limited`: more wait than both bursts can explain
 */
export function enqueue(context: RequestContext, connection: Connection, job: Job): void {
  const { limits } = context
  const { backlog } = connection
  if (backlog.length === 0 && hasPlace(context, connection, job)) {
    start(context, connection, job)
    return
  }
  if (backlog.length >= limits.publishBurst + limits.requestBurst) {
    throw new RealtimeError(
      'rate_limited',
      `${connection.requestsInProgress} requests are in progress and ${backlog.length} wait`,
      { retryAfterMs: 1_000 },
    )
  }
  backlog.push(job)
}

function hasPlace(context: RequestContext, connection: Connection, job: Job): boolean {
  return !job.takesPlace || connection.requestsInProgress < context.limits.maxRequestsInProgress
}

function start(context: RequestContext, connection: Connection, job: Job): void {
  if (!job.takesPlace) {
    connection.queue.add(job.topics, job.run)
    return
  }
  connection.requestsInProgress += 1
  const free = (): void => {
    connection.requestsInProgress -= 1
    startWaiting(context, connection)
  }
  connection.queue.add(job.topics, () => {
    const result = job.run()
    if (result instanceof Promise) return result.then(free)
    free()
    return undefined
  })
}

function startWaiting(context: RequestContext, connection: Connection): void {
  // What is started may have ended already: then the loop below goes on, not another one inside it.
  if (connection.startingBacklog) return
  connection.startingBacklog = true
  for (;;) {
    const next = connection.backlog[0]
    if (next === undefined || !hasPlace(context, connection, next)) break
    connection.backlog.shift()
    start(context, connection, next)
  }
  connection.startingBacklog = false
}
