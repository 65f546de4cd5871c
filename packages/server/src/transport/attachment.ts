import type { IncomingMessage, Server as HttpServer } from 'node:http'
import type { Duplex } from 'node:stream'

/** Wires that are open, of whatever kind, and who waits until there are none. */
export class OpenWires {
  readonly #open = new Set<object>()
  #waiting: (() => void)[] = []

  get size(): number {
    return this.#open.size
  }

  add(wire: object): void {
    this.#open.add(wire)
  }

  delete(wire: object): void {
    if (!this.#open.delete(wire) || this.#open.size > 0) return
    const waiting = this.#waiting
    this.#waiting = []
    for (const wake of waiting) wake()
  }

  whenNone(): Promise<void> {
    if (this.#open.size === 0) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push(resolve))
  }
}

/** The events of an HTTP server that are listened to. */
const EVENTS = ['request', 'upgrade', 'listening', 'close'] as const
type Listener = () => void

/**
 * One HTTP server that is served on. It knows what was added to the server, so that all of it can be
 * taken away again: the server is the application's, and may outlive the service.
 */
export class Attachment {
  readonly #server: HttpServer
  readonly #upgraded = new Set<Duplex>()
  readonly #wires: OpenWires
  /** One for all sockets: it is called as a method of the one that has closed. */
  readonly #closed: (this: Duplex) => void
  readonly #added: readonly (readonly [string, readonly Listener[]])[]
  /** The application's, which Engine.IO takes away and calls for other paths than ours. */
  readonly #requestListeners: readonly Listener[]

  /** `attach` adds Engine.IO to the server; `path` is the one that it serves. */
  constructor(
    server: HttpServer,
    { path, wires, attach }: { path: string; wires: OpenWires; attach: () => void },
  ) {
    this.#server = server
    this.#wires = wires
    const upgraded = this.#upgraded
    this.#closed = function closed(): void {
      upgraded.delete(this)
      wires.delete(this)
    }
    this.#requestListeners = listenersOf(server, 'request')
    const before = EVENTS.map((event) => [event, listenersOf(server, event)] as const)
    server.on('upgrade', (request: IncomingMessage, socket: Duplex) => {
      if (request.url?.startsWith(`${path}/`) === true) this.#track(socket)
    })
    attach()
    this.#added = before.map(([event, known]) => [
      event,
      listenersOf(server, event).filter((listener) => !known.includes(listener)),
    ])
  }

  /** Cuts what was upgraded and is still there: nobody has to answer a close. */
  cut(): void {
    for (const socket of Array.from(this.#upgraded)) socket.destroy()
  }

  /** The server is as it was before; where others have wrapped what we added, that stays. */
  detach(): void {
    for (const [event, added] of this.#added) {
      const present = listenersOf(this.#server, event)
      for (const listener of added) {
        if (!present.includes(listener)) continue
        this.#server.removeListener(event, listener)
        if (event === 'request') this.#giveBack()
      }
    }
  }

  #giveBack(): void {
    for (const listener of this.#requestListeners.toReversed()) {
      this.#server.prependListener('request', listener)
    }
  }

  #track(socket: Duplex): void {
    this.#upgraded.add(socket)
    this.#wires.add(socket)
    socket.on('close', this.#closed)
  }
}

function listenersOf(server: HttpServer, event: string): Listener[] {
  return server.listeners(event) as Listener[]
}
