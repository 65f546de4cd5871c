import {
  decodeConnected,
  fromWireFailure,
  PROTOCOL_VERSION,
  RealtimeError,
  type Cancel,
  type ClientStats,
  type Logger,
  type Runtime,
} from '@bmt-central/realtime-protocol'
import type { CreateLink, Link } from '../link/link.js'
import { Heartbeat } from './heartbeat.js'
import {
  step,
  type ConnectionInput,
  type ConnectionState,
  type Effect,
  type ReconnectOptions,
} from './machine.js'
import { Session } from './session.js'
import { askForToken, type Auth } from './token.js'
import type { Wake } from './wake.js'

export type ConnectionStatus = ClientStats['status']

/** What `onConnection` tells. */
export interface ConnectionEvent {
  readonly status: ConnectionStatus
  /** Why the last attempt failed, or why the connection ended. */
  readonly error?: RealtimeError
  /** Which reconnection attempt this is about, from 1. */
  readonly attempt?: number
  /** ms until that attempt begins; left out where it is under way. */
  readonly retryInMs?: number
}

export interface ConnectionOptions {
  readonly auth: Auth
  readonly heartbeatIntervalMs: number
  readonly reconnect: ReconnectOptions
  /** ms without an answer to a request after which the link is checked. */
  readonly patienceMs: number
  readonly runtime: Runtime
  readonly logger: Logger
}

export interface ConnectionParts {
  readonly options: ConnectionOptions
  readonly createLink: CreateLink
  readonly wake: Wake
  /** The server has said who this is and what applies: called before `changed`. */
  readonly admitted: (session: Session) => void
  /** The state has changed. */
  readonly changed: (event: ConnectionEvent) => void
  /** A link may be used [C2]: called after `changed`. */
  readonly started: (session: Session) => void
  /** The link that was used is gone: called before `changed`. */
  readonly stopped: () => void
  /** The server's refusal is final [C1]. */
  readonly gaveUp: (error: RealtimeError) => void
  /** A `message` of the server. */
  readonly message: (data: unknown) => void
}

const CLIENT = { name: '@bmt-central/realtime', version: '0.1.0' }
/** ms for a link to be opened (by either transport) and admitted. */
const OPENING_LIMIT_MS = 30_000
/** ms for the server to end a link that it said it would end [W25]; it takes at most 1 s itself. */
const CLOSING_LIMIT_MS = 2_000

const CLOSED = 'the client is closed'

interface Deferred {
  readonly promise: Promise<void>
  readonly resolve: () => void
  readonly reject: (error: RealtimeError) => void
}

/** Carries out what the machine decides: links, timers, tokens. Owns the generation. */
export class Connection {
  readonly #parts: ConnectionParts
  readonly #heartbeat: Heartbeat
  readonly #instance: string
  readonly #cancelWake: Cancel
  readonly #inputs: ConnectionInput[] = []
  #state: ConnectionState = { status: 'idle', generation: 0, cause: null }
  #auth: Auth
  /** The token that the server refused last, and how. */
  #refused: { readonly token: string | null; readonly error: RealtimeError } | null = null
  #link: Link | null = null
  #session: Session | null = null
  #cancelTimer: Cancel = () => undefined
  #connecting: Deferred | null = null
  #waiting = 0
  #admissions = 0
  /** Why the server is about to end the link [W25]. */
  #closing: RealtimeError | null = null

  constructor(parts: ConnectionParts) {
    const { runtime } = parts.options
    this.#parts = parts
    this.#auth = parts.options.auth
    this.#instance = runtime.id()
    this.#cancelWake = parts.wake(() => this.#take({ type: 'wake' }))
    this.#heartbeat = new Heartbeat({
      runtime,
      send: (answered) => {
        const data = { timestamp: runtime.wallNow() }
        this.#session?.request('heartbeat', data, (_, failure) => failure === null && answered())
      },
      dead: () => this.#fail(this.#state.generation, 'the link is dead: nothing came back'),
    })
  }

  get status(): ConnectionStatus {
    return this.#state.status
  }

  get session(): Session | null {
    return this.#session
  }

  /** Monotonic; null while not connected. */
  get connectedAt(): number | null {
    return this.#state.status === 'connected' ? this.#state.connectedAt : null
  }

  get reconnectCount(): number {
    return Math.max(0, this.#admissions - 1)
  }

  get latencyMs(): number | null {
    return this.#heartbeat.latencyMs
  }

  /** Resolves at `connected`; rejects where nothing is tried any more. */
  connect(signal?: AbortSignal): Promise<void> {
    if (this.status === 'closed') return Promise.reject(new RealtimeError('closed', CLOSED))
    if (signal?.aborted) return Promise.reject(aborted(signal))
    this.#take({ type: 'connect' })
    if (this.status === 'connected') return Promise.resolve()
    this.#connecting ??= deferred()
    return this.#abortable(this.#connecting.promise, signal)
  }

  disconnect(): void {
    this.#take({ type: 'disconnect' })
  }

  close(): void {
    this.#cancelWake()
    this.#take({ type: 'close' })
  }

  setToken(token: string): void {
    this.#auth = token
    this.#take({ type: 'new_token' })
  }

  /** One waiter gives up; where it was the last, so does the attempt. */
  async #abortable(connecting: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
    this.#waiting += 1
    let abort = (): void => undefined
    try {
      await Promise.race([
        connecting,
        new Promise((_, reject) => {
          abort = () => reject(aborted(signal))
          signal?.addEventListener('abort', abort)
        }),
      ])
    } finally {
      signal?.removeEventListener('abort', abort)
      this.#waiting -= 1
      const abandoned = signal?.aborted === true && this.#waiting === 0
      if (abandoned && this.status === 'connecting') this.disconnect()
    }
  }

  /** One input after the other, also where carrying out an effect brings the next one. */
  #take(input: ConnectionInput): void {
    this.#inputs.push(input)
    if (this.#inputs.length > 1) return
    const { runtime, reconnect } = this.#parts.options
    try {
      for (let input = this.#inputs[0]; input !== undefined; input = this.#inputs[0]) {
        const env = { now: runtime.monotonicNow(), random: runtime.random(), reconnect }
        const { next, effects } = step(this.#state, input, env)
        if (next.generation !== this.#state.generation) this.#cancelTimer()
        this.#state = next
        for (const effect of effects) this.#carryOut(effect)
        this.#inputs.shift()
      }
    } finally {
      this.#inputs.length = 0
    }
  }

  #carryOut(effect: Effect): void {
    const { runtime } = this.#parts.options
    switch (effect.type) {
      case 'drop':
        this.#link?.drop()
        this.#link = null
        return
      case 'open':
        void this.#open(effect.generation, effect.challenged)
        return
      case 'wait': {
        const { generation, ms } = effect
        this.#cancelTimer = runtime.after(ms, () => this.#take({ type: 'due', generation }))
        return
      }
      case 'announce':
        return this.#announce()
      case 'start':
        return this.#start()
      case 'stop':
        return this.#stop()
      case 'check':
        return this.#heartbeat.check()
      case 'give_up':
        return this.#parts.gaveUp(effect.error)
    }
  }

  async #open(generation: number, challenged: boolean): Promise<void> {
    const { runtime } = this.#parts.options
    const isCurrent = (): boolean => this.#state.generation === generation
    try {
      const token = await askForToken(runtime, this.#auth)
      if (!isCurrent()) return
      const refused = this.#refused
      if (challenged && refused?.token === token) {
        return this.#take({ type: 'unchanged_token', generation, error: refused.error })
      }
      this.#closing = null
      this.#session = null
      this.#cancelTimer = runtime.after(OPENING_LIMIT_MS, () =>
        this.#fail(generation, `the server did not answer within ${OPENING_LIMIT_MS} ms`),
      )
      const client = { ...CLIENT, instance: this.#instance, attempt: generation }
      // Whatever an earlier link still reports belongs to a generation that has passed [C5].
      this.#link = this.#parts.createLink(
        { ...(token !== null && { token }), protocol: PROTOCOL_VERSION, client },
        {
          packet: () => isCurrent() && this.#heartbeat.packet(),
          event: (name, data) => isCurrent() && this.#hear(name, data, token),
          down: (error) => isCurrent() && this.#end(this.#closing ?? error, token),
        },
      )
    } catch (cause) {
      if (isCurrent()) this.#fail(generation, 'the link could not be opened', cause)
    }
  }

  #hear(name: string, data: unknown, token: string | null): void {
    if (name === 'message') return this.#parts.message(data)
    if (name === 'connected' && this.#session === null) return this.#admit(data, token)
    if (name !== 'closing') return
    // The end itself follows; what has been sent may be answered until then.
    const error = fromWireFailure(data)
    this.#closing = error
    this.#session?.closing()
    this.#cancelTimer()
    this.#cancelTimer = this.#parts.options.runtime.after(CLOSING_LIMIT_MS, () =>
      this.#end(error, token),
    )
  }

  #admit(data: unknown, token: string | null): void {
    const { generation } = this.#state
    try {
      const connected = decodeConnected(data)
      if (connected.protocol !== PROTOCOL_VERSION) {
        const message = `the server speaks protocol ${connected.protocol}, this client ${PROTOCOL_VERSION}`
        return this.#end(new RealtimeError('protocol_unsupported', message), token)
      }
      const { runtime, patienceMs } = this.#parts.options
      if (this.#link === null) return
      this.#cancelTimer()
      this.#session = new Session({
        runtime,
        link: this.#link,
        connected,
        patienceMs,
        check: () => this.#heartbeat.suspect(),
      })
      this.#parts.admitted(this.#session)
      this.#take({ type: 'admitted', generation })
    } catch (cause) {
      this.#fail(generation, 'the server said something else than `connected`', cause)
    }
  }

  /** The present link is refused, or has ended. */
  #end(error: RealtimeError, token: string | null): void {
    this.#refused = { token, error }
    this.#take({ type: 'failed', generation: this.#state.generation, error })
  }

  #fail(generation: number, message: string, cause?: unknown): void {
    const known = cause instanceof RealtimeError && cause.code === 'not_connected'
    const error = known ? cause : new RealtimeError('not_connected', message, { cause })
    this.#take({ type: 'failed', generation, error })
  }

  #start(): void {
    const session = this.#session
    if (session === null) return
    this.#refused = null
    this.#admissions += 1
    this.#parts.started(session)
    const { heartbeatInterval } = session.connected
    this.#heartbeat.start(Math.min(heartbeatInterval, this.#parts.options.heartbeatIntervalMs))
  }

  #stop(): void {
    this.#heartbeat.stop()
    const session = this.#session
    this.#session = null
    session?.end(causeOf(this.#state) ?? new RealtimeError('not_connected', 'the connection ended'))
    this.#parts.stopped()
  }

  #announce(): void {
    const state = this.#state
    const error = causeOf(state)
    const connecting = this.#connecting
    if (connecting !== null && state.status !== 'connecting' && state.status !== 'reconnecting') {
      this.#connecting = null
      if (state.status === 'connected') connecting.resolve()
      else connecting.reject(error ?? endedError(state.status))
    }
    const event: ConnectionEvent = {
      status: state.status,
      ...(error !== null && { error }),
      ...('attempt' in state && state.attempt > 0 && { attempt: state.attempt }),
      ...('phase' in state && state.phase === 'waiting' && { retryInMs: Math.ceil(state.waitMs) }),
    }
    this.#parts.options.logger.info('connection', { ...event })
    this.#parts.changed(event)
  }
}

function causeOf(state: ConnectionState): RealtimeError | null {
  return 'cause' in state ? state.cause : null
}

function endedError(status: ConnectionStatus): RealtimeError {
  return status === 'closed'
    ? new RealtimeError('closed', CLOSED)
    : new RealtimeError('not_connected', 'disconnect() was called')
}

function aborted(signal: AbortSignal | undefined): RealtimeError {
  return new RealtimeError('aborted', 'connect() was aborted', { cause: signal?.reason })
}

function deferred(): Deferred {
  const parts: Partial<Deferred> = {}
  const promise = new Promise<void>((resolve, reject) => Object.assign(parts, { resolve, reject }))
  return Object.assign(parts as Deferred, { promise })
}
