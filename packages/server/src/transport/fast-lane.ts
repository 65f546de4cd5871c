import type { Logger } from '@bmt-central/realtime-protocol'
import type { Socket } from 'node:net'
import type { Bundle } from './bundle.js'
import { framesOf } from './frames.js'
import type { Handover } from './peer.js'

/** So much of others is copied to make one buffer of a connection's own packets and theirs. */
const MAX_COPIED_BYTES = 16 * 1_024
const NOTHING = Buffer.alloc(0)

/** Engine.IO's end of a connection, as far as it decides whether a frame may pass it by. */
interface EngineSocket {
  readonly readyState: unknown
  readonly upgrading: unknown
  readonly writeBuffer: unknown
  readonly transport: { readonly name: unknown; readonly socket?: unknown }
}

/** The WebSocket behind it (`ws`), as far as it decides the same. */
interface WebSocketEnd {
  readonly readyState: unknown
  readonly _socket?: Socket | null
  readonly _extensions?: Readonly<Record<string, unknown>>
  readonly _sender?: {
    /** 0: nothing is being packed or read, and so no frame waits for that. */
    readonly _state: unknown
    /** False in the middle of a message of several frames. */
    readonly _firstFragment: unknown
  }
}

/** What client and server have agreed on (RFC 7692, section 7.1). */
interface DeflateParams {
  readonly server_no_context_takeover?: unknown
  readonly server_max_window_bits?: unknown
}

const WEBSOCKET_OPEN = 1
const LARGEST_WINDOW_BITS = 15

/**
 * Writes whole WebSocket frames to the TCP socket below Engine.IO and ws: one write for a turn's
 * packets instead of one for each. Only where no byte can be overtaken or torn apart: a WebSocket that
 * is open, after its upgrade, with nothing waiting above the socket. Bytes that wait in the socket
 * itself are in order. Where the two libraries are not as known here, that is said once, and everything
 * goes the ordinary way, which gives the same bytes.
 */
export class FastLane {
  readonly #logger: Logger
  readonly #threshold: number | null
  #closed = false

  /** `threshold`: bytes from which on packets are compressed; null: none is. */
  constructor({ logger, threshold }: { logger: Logger; threshold: number | null }) {
    this.#logger = logger
    this.#threshold = threshold
  }

  /** Whether it has written the handover; if not, nothing has been written. */
  write(conn: object, handover: Handover): boolean {
    const engine = conn as EngineSocket
    const tcp = this.#socketOf(engine)
    if (tcp === null) return false
    const { packets, shared } = handover
    const packs = this.#packs(engine)
    // A page is compressed for one connection alone: ws does that off this thread.
    if (packs && packets.some(({ bytes }) => bytes >= (this.#threshold ?? Infinity))) return false
    const own = packets.length === 0 ? null : framesOf(packets)
    const theirs = shared === null ? null : this.#framesOf(shared, packs)
    if (own !== null && theirs !== null && theirs.length > MAX_COPIED_BYTES) {
      tcp.cork()
      tcp.write(own)
      tcp.write(theirs)
      tcp.uncork()
    } else {
      tcp.write(own === null || theirs === null ? (own ?? theirs ?? NOTHING) : join(own, theirs))
    }
    if (tcp.writableLength === 0) handover.taker.taken(handover.bytes)
    // Nothing follows what waits: its callback says that the network has taken all before it.
    else tcp.write(NOTHING, (error) => error ?? handover.taker.taken(handover.bytes))
    return true
  }

  #framesOf(shared: Bundle, packs: boolean): Buffer {
    return packs && this.#threshold !== null ? shared.packedFrames(this.#threshold) : shared.frames
  }

  /**
   * Whether a connection takes frames that were compressed for all: each by itself, with the largest
   * window. One that has agreed on something else gets plain frames, which are always allowed.
   */
  #packs({ transport }: EngineSocket): boolean {
    if (this.#threshold === null) return false
    const agreed = (transport.socket as WebSocketEnd)._extensions?.['permessage-deflate']
    const params = (agreed as { readonly params?: DeflateParams } | undefined)?.params
    const bits = params?.server_max_window_bits ?? LARGEST_WINDOW_BITS
    return params?.server_no_context_takeover === true && bits === LARGEST_WINDOW_BITS
  }

  /** Where frames may be written now. */
  #socketOf(conn: EngineSocket): Socket | null {
    const { transport, writeBuffer } = conn
    if (this.#closed || transport.name !== 'websocket' || conn.readyState !== 'open') return null
    const ws = transport.socket as WebSocketEnd | undefined
    const sender = ws?._sender
    const tcp = ws?._socket
    if (
      sender === undefined ||
      tcp === undefined ||
      typeof sender._state !== 'number' ||
      typeof sender._firstFragment !== 'boolean' ||
      typeof conn.upgrading !== 'boolean' ||
      !Array.isArray(writeBuffer)
    ) {
      return this.#close()
    }
    const idle =
      !conn.upgrading &&
      writeBuffer.length === 0 &&
      ws?.readyState === WEBSOCKET_OPEN &&
      sender._state === 0 &&
      sender._firstFragment
    return idle && tcp?.writable === true ? tcp : null
  }

  #close(): null {
    this.#closed = true
    this.#logger.warn('the fast path is off: engine.io or ws is not as this version knows it', {
      todo: 'nothing is wrong, but delivery costs more; use the versions of the lock file, or report this',
    })
    return null
  }
}

function join(own: Buffer, theirs: Buffer): Buffer {
  const joined = Buffer.allocUnsafe(own.length + theirs.length)
  own.copy(joined)
  theirs.copy(joined, own.length)
  return joined
}
