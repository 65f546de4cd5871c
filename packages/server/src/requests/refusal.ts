import { RealtimeError, type Topic } from '@bmt-central/realtime-protocol'
import type { Connection } from '../hub/connection.js'
import type { RequestContext } from './context.js'

/** A request, or an entry of a batch, that was refused. */
export interface RefusedRequest {
  readonly event: string
  /** As it was sent, where it is none. */
  readonly topic?: string | undefined
  readonly error: unknown
}

/** Tells the journal of a refusal, and by which rule of the application's it came where one decided. */
export function reportRefusal(
  context: RequestContext,
  connection: Connection,
  { event, topic, error }: RefusedRequest,
): void {
  const denied = error instanceof RealtimeError && error.code === 'permission_denied'
  const rule =
    denied && topic !== undefined
      ? context.hub.ruleOf(topic as Topic).matched?.rule.match
      : undefined
  context.journal.denied(error, {
    connectionId: connection.id,
    userId: connection.user.userId,
    event,
    ...(topic !== undefined && { topic }),
    ...(rule !== undefined && { rule }),
  })
}
