import type { Logger } from '@bmt-central/realtime-protocol'
import { devAuth, RealtimeService } from '@bmt-central/realtime-server'
import { chatSchema, typingSchema } from './chat-schemas.js'

const DAY_MS = 86_400_000

/** The chat's realtime server: its rules are all that a chat needs to say. */
export function makeChatService(logger: Logger): RealtimeService {
  return new RealtimeService({
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
