import { fromWireFailure, RealtimeError } from '@bmt-central/realtime-protocol'
import { Manager, type Socket } from 'socket.io-client'
import type { CreateLink, Handshake, Link, LinkListener } from './link.js'

export type TransportName = 'websocket' | 'polling'

export interface SocketIoLinkOptions {
  readonly url: string
  readonly path: string
  /** In the order in which they are tried. */
  readonly transports: readonly TransportName[]
}

/** ms for one transport to open: what swallows WebSockets silently costs one of these. */
const OPEN_TIMEOUT_MS = 8_000
/** ms for one HTTP request of polling: more than a poll that waits for the server's ping takes. */
const POLL_TIMEOUT_MS = 60_000

/** Links over Socket.IO. Each has a manager of its own and uses nothing of it but the wire [C7]. */
export function socketIoLink(options: SocketIoLinkOptions): CreateLink {
  return (handshake, listener) => new SocketIoLink(options, handshake, listener)
}

class SocketIoLink implements Link {
  readonly #options: SocketIoLinkOptions
  readonly #handshake: Handshake
  readonly #listener: LinkListener
  #socket: Socket | null = null
  #ended = false

  constructor(options: SocketIoLinkOptions, handshake: Handshake, listener: LinkListener) {
    this.#options = options
    this.#handshake = handshake
    this.#listener = listener
    this.#open(0)
  }

  request(event: string, data: object, answer: (acknowledgement: unknown) => void): void {
    // Socket.IO would keep what it cannot send: there is one queue, and it is not here.
    if (this.#socket?.connected !== true) return
    this.#socket.emit(event, data, (acknowledgement: unknown) => {
      if (!this.#ended) answer(acknowledgement)
    })
  }

  drop(): void {
    this.#ended = true
    this.#release()
  }

  /** Opens by the given transport; where it fails before it was open, by the next one [W1]. */
  #open(index: number): void {
    const transport = this.#options.transports[index]
    const manager = new Manager(this.#options.url, {
      path: this.#options.path,
      transports: transport === undefined ? [] : [transport],
      upgrade: false,
      forceNew: true,
      autoConnect: false,
      reconnection: false,
      timeout: OPEN_TIMEOUT_MS,
      requestTimeout: POLL_TIMEOUT_MS,
    })
    const socket = manager.socket('/', { auth: { ...this.#handshake }, retries: 0 })
    this.#socket = socket
    let opened = false
    const mine = (): boolean => !this.#ended && this.#socket === socket

    manager.on('open', () => {
      opened = true
    })
    socket.onAny((name: string, data: unknown) => {
      if (mine()) this.#listener.event(name, data)
    })
    socket.on('connect_error', (error) => {
      if (!mine()) return
      const { data } = error as { data?: unknown }
      if (data !== undefined) return this.#down(fromWireFailure(data))
      if (!opened && index + 1 < this.#options.transports.length) {
        this.#release()
        return this.#open(index + 1)
      }
      this.#down(unreachable('the server could not be reached', error))
    })
    socket.on('disconnect', (reason, description) => {
      if (!mine()) return
      const cause = description instanceof Error ? description : undefined
      this.#down(unreachable(`the connection ended: ${reason}`, cause))
    })
    socket.connect()
    manager.engine.on('packet', () => {
      if (mine()) this.#listener.packet()
    })
  }

  #down(cause: RealtimeError): void {
    this.drop()
    this.#listener.down(cause)
  }

  #release(): void {
    const socket = this.#socket
    if (socket === null) return
    this.#socket = null
    const { ws } = socket.io.engine.transport as { ws?: { terminate?: () => void } | null }
    socket.disconnect()
    // Where the other side is gone, a closing handshake takes half a minute. Browsers' WebSockets
    // offer nothing quicker; elsewhere there is this.
    ws?.terminate?.()
  }
}

function unreachable(message: string, cause?: Error): RealtimeError {
  return new RealtimeError('not_connected', message, cause === undefined ? {} : { cause })
}
