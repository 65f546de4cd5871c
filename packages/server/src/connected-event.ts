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

function connectedLimits({ limits }: ResolvedOptions): ConnectedLimits {
  return {
    maxPayloadBytes: limits.maxPayloadBytes,
    idempotencyWindowMs: limits.idempotencyWindowMs,
    publishesPerSecond: limits.publishesPerSecond,
    publishBurst: limits.publishBurst,
    publishBytesPerSecond: limits.publishBytesPerSecond,
    publishBytesBurst: limits.publishBytesBurst,
    requestsPerSecond: limits.requestsPerSecond,
    requestBurst: limits.requestBurst,
    maxPageMessages: limits.maxPageMessages,
  }
}
