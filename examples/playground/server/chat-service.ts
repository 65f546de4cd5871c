import type { Logger } from '@bmt-central/realtime-protocol'
import { DiskBroker } from '@bmt-central/realtime-disk'
import { devAuth, RealtimeService } from '@bmt-central/realtime-server'
import { chatSchema, typingSchema } from './chat-schemas.js'

const DAY_MS = 86_400_000

/** The one before may still be about to go. */
const LOCK_WAIT_MS = 5_000

/**
 * The chat's realtime server: its rules are all that a chat needs to say. It keeps messages in the
 * directory `data`, or in memory where that is null.
 */
export function makeChatService(logger: Logger, data: string | null): RealtimeService {
  return new RealtimeService({
    ...(data !== null && { broker: new DiskBroker({ path: data, lockWaitMs: LOCK_WAIT_MS }) }),
    authenticate: devAuth(),
    channels: [
      {
        match: 'chat-room-{room}',
        subscribe: 'authenticated',
        publish: 'authenticated',
        history: { size: 2_000, ttlMs: DAY_MS },
        schema: chatSchema,
      },
      // Who is typing is worth nothing a moment later: live only, never kept or replayed.
      {
        match: 'typing:{room}',
        subscribe: 'authenticated',
        publish: 'authenticated',
        delivery: 'ephemeral',
        schema: typingSchema,
      },
      {
        match: 'system:metrics',
        subscribe: 'authenticated',
        publish: 'nobody',
        delivery: 'ephemeral',
        overflow: 'latest',
      },
    ],
    logger,
  })
}
