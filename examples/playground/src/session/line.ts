type SocketClass = typeof globalThis.WebSocket

/** A line that can be cut as if a cable was pulled: open sockets end, new ones fail. */
export interface Line {
  readonly isCut: boolean
  cut(): void
  mend(): void
}

/**
 * Takes the place of the page's WebSocket class, so that what is cut is the line and not a flag
 * inside the client: the client has to find out, reconnect and recover by itself.
 */
export function installLine(scope: { WebSocket: SocketClass }): Line {
  const Native = scope.WebSocket
  const open = new Set<WebSocket>()
  let isCut = false

  class CuttableSocket extends Native {
    constructor(url: string | URL, protocols?: string | string[]) {
      if (isCut) throw new Error('the line is cut')
      super(url, protocols)
      open.add(this)
      this.addEventListener('close', () => open.delete(this))
    }
  }
  scope.WebSocket = CuttableSocket
  return {
    get isCut() {
      return isCut
    },
    cut() {
      isCut = true
      for (const socket of [...open]) socket.close()
    },
    mend() {
      isCut = false
    },
  }
}
