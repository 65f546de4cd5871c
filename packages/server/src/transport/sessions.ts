import { ServerResponse, type IncomingMessage, type Server as HttpServer } from 'node:http'
import { RealtimeError } from '@bmt-central/realtime-protocol'
import type { ResolvedOptions } from '../options.js'
import { Attachment, OpenWires } from './attachment.js'
import { hostAllowed, originAllowed } from './origin.js'
import { cut, END_WITHIN_MS, lingers, type Wire } from './wire-end.js'

/** A session of Engine.IO. */
interface Session extends Wire {
  readonly id: string
  on(event: 'close', run: (this: Session) => void): unknown
}

/** Engine.IO on one HTTP server. */
interface Engine {
  use(middleware: Guard): unknown
  on(event: 'connection', opened: (session: Session) => void): unknown
  close(): unknown
}

/** What is asked of Socket.IO: it makes an engine for each HTTP server. */
export interface EngineMaker {
  readonly engine: Engine
  attach(server: HttpServer): unknown
}

/** The sessions on all HTTP servers that are served on: how they begin, and how all of them end. */
export class Sessions {
  readonly #io: EngineMaker
  readonly #options: ResolvedOptions
  readonly #attachments = new Map<HttpServer, Attachment>()
  readonly #engines: Engine[] = []
  readonly #open = new Map<string, Session>()
  readonly #wires = new OpenWires()
  /** One for all sessions: it is called as a method of the one that has closed. */
  readonly #closed: (this: Session) => void

  constructor(io: EngineMaker, options: ResolvedOptions) {
    this.#io = io
    this.#options = options
    const over = (session: Session): void => this.#over(session)
    this.#closed = function closed(): void {
      over(this)
    }
  }

  /** @throws RealtimeError `invalid_options`: attached to this server already */
  attach(server: HttpServer): void {
    if (this.#attachments.has(server)) {
      throw new RealtimeError('invalid_options', 'this HTTP server is attached already')
    }
    const { path } = this.#options
    const attach = (): void => void this.#io.attach(server)
    this.#attachments.set(server, new Attachment(server, { path, wires: this.#wires, attach }))
    const { engine } = this.#io
    engine.use(sessionGuard(this.#open, this.#options))
    engine.on('connection', (session) => this.#opened(session))
    this.#engines.push(engine)
  }

  /**
   * Gives what is ending 1 s to end, then ends what is left, and leaves the HTTP servers, which stay
   * open.
   */
  async close(): Promise<void> {
    // Those that have not joined, or joined a namespace of the application's: the service has not
    // ended them.
    for (const session of this.#open.values()) if (session.readyState === 'open') session.close()
    await this.#soonOver()
    for (const engine of this.#engines) engine.close()
    for (const attachment of this.#attachments.values()) {
      attachment.cut()
      attachment.detach()
    }
  }

  #opened(session: Session): void {
    this.#open.set(session.id, session)
    this.#wires.add(session)
    session.on('close', this.#closed)
  }

  #over(session: Session): void {
    this.#open.delete(session.id)
    this.#wires.delete(session)
    if (lingers(session)) this.#options.runtime.after(END_WITHIN_MS, () => cut(session))
  }

  #soonOver(): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#options.runtime.after(END_WITHIN_MS, resolve)
      void this.#wires.whenNone().then(() => {
        cancel()
        resolve()
      })
    })
  }
}

type EngineRequest = IncomingMessage & { _query?: Readonly<Record<string, unknown>> }
type Guard = (request: EngineRequest, response: unknown, next: (error?: Error) => void) => void

/**
 * `allowRequest` is asked for handshakes only: this looks at the requests of sessions that exist
 * already, so that a foreign page can use none that it has learnt of [W9].
 */
function sessionGuard(sessions: ReadonlyMap<string, Session>, options: ResolvedOptions): Guard {
  return (request, response, next) => {
    const id = request._query?.['sid']
    if (typeof id !== 'string') return next()
    const refusal = refusalOf(request, options)
    if (refusal === null) {
      if (isServerResponse(response)) endIfTooLarge(response, sessions.get(id))
      return next()
    }
    // An upgrade is ended by Engine.IO itself, which has no other answer than 400 after a middleware.
    if (isServerResponse(response)) {
      response.writeHead(403, { 'Content-Type': 'application/json' })
      response.end(JSON.stringify({ code: 4, message: refusal }))
    }
    return next(new Error(refusal))
  }
}

function isServerResponse(value: unknown): value is ServerResponse {
  return value instanceof ServerResponse
}

/** Engine.IO answers a POST that is too large, and would keep its session [L5]. */
function endIfTooLarge(response: ServerResponse, session: Session | undefined): void {
  response.once('finish', () => {
    if (response.statusCode === 413) session?.close(true)
  })
}

/** Why a request may not come in [W9]; null: it may. */
export function refusalOf(request: IncomingMessage, options: ResolvedOptions): string | null {
  const { origin, host } = request.headers
  if (!originAllowed({ origin, host }, options.origins)) {
    options.logger.warn('origin refused', {
      origin: origin?.slice(0, 200),
      host: host?.slice(0, 200),
    })
    return 'this origin is not allowed'
  }
  if (options.devHosts !== null && !hostAllowed(host, options.devHosts)) {
    options.logger.warn('host refused', { host: host?.slice(0, 200) })
    return 'this host is not allowed'
  }
  return null
}
