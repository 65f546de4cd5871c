/** An end that is not over by then is enforced ([L9], [W25]). */
export const END_WITHIN_MS = 1_000

/** What Engine.IO sends and receives by, as far as it matters here. */
export interface Wire {
  readonly readyState: string
  /** Engine.IO hides what it closes with. */
  readonly transport: object
  close(discard?: boolean): unknown
}

/** What is behind a transport of Engine.IO: a WebSocket, or polling that waits for the next poll. */
interface Inside {
  readonly socket?: { readonly readyState: number; terminate(): void }
  readonly shouldClose?: (() => void) | null
}

const WEBSOCKET_CLOSED = 3

/** Whether a session that is over still has a WebSocket: it waits 30 s for the answer to its close. */
export function lingers(conn: Wire): boolean {
  const { socket } = conn.transport as Inside
  return socket !== undefined && socket.readyState !== WEBSOCKET_CLOSED
}

/** Ends a session now: whatever it still holds, whether or not its client plays along. */
export function cut(conn: Wire): void {
  const { socket, shouldClose } = conn.transport as Inside
  conn.close(true)
  // Polling that was closed between two polls waits for the next one, 30 s long.
  shouldClose?.()
  socket?.terminate()
}
