import {
  PROTOCOL_VERSION,
  type ConnectedEvent,
  type ConnectedLimits,
} from '@bmt-central/realtime-protocol'
import type { Connection } from './hub/connection.js'
import type { ResolvedOptions } from './options.js'

/** The first event of every admitted connection [W3][W20]. */
export function connectedEvent(
  connection: Connection,
  options: ResolvedOptions,
  windowEpoch: string,
): ConnectedEvent {
  const { userId, role, permissions, expiresAt } = connection.user
  return {
    connectionId: connection.id,
    user: { userId, role, permissions: Array.from(permissions ?? []) },
    protocol: PROTOCOL_VERSION,
    serverTime: options.runtime.wallNow(),
    windowEpoch,
    heartbeatInterval: options.heartbeatIntervalMs,
    ...(expiresAt !== undefined && { expiresAt }),
    limits: connectedLimits(options),
    rules: options.wireRules === null ? null : Array.from(options.wireRules),
  }
}

function connectedLimits({ limits, broker }: ResolvedOptions): ConnectedLimits {
  return {
    maxPayloadBytes: limits.maxPayloadBytes,
    // Of the broker, whose options may differ, and as it is now: who comes back to resend something
    // has had no acknowledgement that says so [P4][L17].
    idempotencyWindowMs: Math.floor(broker.stats().idempotencyWindowMs),
    publishesPerSecond: limits.publishesPerSecond,
    publishBurst: limits.publishBurst,
    publishBytesPerSecond: limits.publishBytesPerSecond,
    publishBytesBurst: limits.publishBytesBurst,
    requestsPerSecond: limits.requestsPerSecond,
    requestBurst: limits.requestBurst,
    maxPageMessages: limits.maxPageMessages,
  }
}
