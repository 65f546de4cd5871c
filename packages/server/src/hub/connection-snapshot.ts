import type { ConnectionSnapshot } from '../journal.js'
import type { Connection } from './connection.js'

/** A connection as the application sees it: a copy, so that nothing of ours can be changed through it. */
export function connectionSnapshot(connection: Connection): ConnectionSnapshot {
  return {
    connectionId: connection.id,
    user: { ...connection.user, permissions: [...(connection.user.permissions ?? [])] },
    connectedAt: connection.connectedAt,
    lastActivity: connection.lastActivityAt,
    subscribedChannels: Array.from(connection.subscriptions.keys()),
    address: connection.peer.address,
    transport: connection.peer.transport,
    client: { ...connection.client },
    waitingBytes: connection.outlet.waitingBytes,
  }
}
