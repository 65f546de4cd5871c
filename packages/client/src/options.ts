import {
  kindOf,
  RealtimeError,
  silentLogger,
  type Log,
  type Logger,
  type Runtime,
} from '@bmt-central/realtime-protocol'
import type { ReconnectOptions } from './connection/machine.js'
import type { Auth } from './connection/token.js'
import type { TransportName } from './link/socket-io-link.js'
import { systemRuntime } from './system-runtime.js'

export interface RealtimeOptions {
  /** ws://, wss://, http:// or https:// */
  url: string
  /** A token, or a function that fetches one: called at every connect [C6], with 10 s time. */
  auth?: string | (() => string | null | Promise<string | null>)
  /** ms, 30 000; the smaller of this and the server's counts [C5]. */
  heartbeatInterval?: number
  /** [C3]; defaults: true, -1 (for ever), 1 000 ms, 30 000 ms. */
  reconnect?: { enabled?: boolean; maxAttempts?: number; baseMs?: number; capMs?: number }
  /** Publishes that may wait [L13]: 1 000. */
  maxQueueSize?: number
  /** Bytes of payloads that may wait [L13]: 8 MiB. */
  maxQueueBytes?: number
  /** ms for one attempt of a publish [L14]: 10 000; then the link is checked. */
  publishTimeoutMs?: number
  /** ms for a publish in all, time offline not counted [L14]: 60 000. */
  publishDeadlineMs?: number
  /** ms that a publish may wait offline [L14]: 24 h. */
  maxOfflineMs?: number
  /** Of the server's Socket.IO: /socket.io */
  path?: string
  /** In the order in which they are tried [W1]: websocket, polling. */
  transports?: TransportName[]
  /** Clocks, timers, randomness: for tests. */
  runtime?: Runtime
  /** Default: nothing is logged. Payloads and tokens never are. */
  logger?: Logger
}

export interface ResolvedOptions {
  readonly url: string
  readonly auth: Auth
  readonly heartbeatIntervalMs: number
  readonly reconnect: ReconnectOptions
  readonly maxQueueSize: number
  readonly maxQueueBytes: number
  readonly publishTimeoutMs: number
  readonly publishDeadlineMs: number
  readonly maxOfflineMs: number
  readonly path: string
  readonly transports: readonly TransportName[]
  readonly runtime: Runtime
  readonly logger: Logger
}

const RECONNECT = { enabled: true, maxAttempts: -1, baseMs: 1_000, capMs: 30_000 }
const DEFAULTS = {
  url: '',
  auth: null,
  heartbeatInterval: 30_000,
  reconnect: {},
  maxQueueSize: 1_000,
  maxQueueBytes: 8 * 1_024 * 1_024,
  publishTimeoutMs: 10_000,
  publishDeadlineMs: 60_000,
  maxOfflineMs: 86_400_000,
  path: '/socket.io',
  transports: ['websocket', 'polling'],
  runtime: systemRuntime,
  logger: silentLogger,
}
/** Above this no queue in memory makes sense, nor does a walk through it. */
const MAX_QUEUE_SIZE = 100_000

/**
 * Checks everything once, at the edge.
 * @throws RealtimeError `invalid_options`, naming the option and its value
 */
export function resolveOptions(input: RealtimeOptions): Readonly<ResolvedOptions> {
  const given = withDefaults('options', input, DEFAULTS)
  const reconnect = withDefaults('reconnect', given.reconnect, RECONNECT)
  const number = (name: keyof typeof given, max = Infinity): number =>
    numberFrom(name, given[name], { min: 1, max })
  const { url, auth, path, transports, runtime, logger } = given
  return Object.freeze({
    url: checkUrl(url),
    auth: checkAuth(auth),
    heartbeatIntervalMs: number('heartbeatInterval'),
    reconnect: Object.freeze({
      enabled: check<boolean>(reconnect.enabled, (v) => typeof v === 'boolean', {
        name: 'reconnect.enabled',
        expected: 'true or false',
      }),
      maxAttempts: numberFrom('reconnect.maxAttempts', reconnect.maxAttempts, { min: -1 }),
      baseMs: numberFrom('reconnect.baseMs', reconnect.baseMs, { min: 1 }),
      capMs: numberFrom('reconnect.capMs', reconnect.capMs, { min: 1 }),
    }),
    maxQueueSize: number('maxQueueSize', MAX_QUEUE_SIZE),
    maxQueueBytes: number('maxQueueBytes'),
    publishTimeoutMs: number('publishTimeoutMs'),
    publishDeadlineMs: number('publishDeadlineMs'),
    maxOfflineMs: number('maxOfflineMs'),
    path: check<string>(path, (v) => typeof v === 'string' && v.startsWith('/'), {
      name: 'path',
      expected: 'a path that begins with /',
    }),
    transports: check<TransportName[]>(transports, areTransports, {
      name: 'transports',
      expected: 'a list of websocket and polling',
    }),
    runtime: check<Runtime>(runtime, hasFunctions(systemRuntime), {
      name: 'runtime',
      expected: 'a Runtime',
    }),
    logger: guarded(
      check<Logger>(logger, hasFunctions(silentLogger), { name: 'logger', expected: 'a Logger' }),
    ),
  })
}

function hasFunctions(example: object): (value: unknown) => boolean {
  return (value) =>
    typeof value === 'object' &&
    value !== null &&
    Object.keys(example).every(
      (key) => typeof (value as Record<string, unknown>)[key] === 'function',
    )
}

/** A logger that throws must not break what it was told about; nobody else could be told. */
function guarded(logger: Logger): Logger {
  const guard =
    (level: keyof Logger): Log =>
    (event, fields) => {
      try {
        logger[level](event, fields)
      } catch {
        // See above.
      }
    }
  return { debug: guard('debug'), info: guard('info'), warn: guard('warn'), error: guard('error') }
}

/** @throws RealtimeError `invalid_options` where a key is not among the defaults */
function withDefaults<Defaults extends object>(
  what: string,
  input: unknown,
  defaults: Defaults,
): Record<keyof Defaults, unknown> {
  if (typeof input !== 'object' || input === null) throw invalid(what, input, 'an object')
  for (const [key, value] of Object.entries(input)) {
    if (value === undefined || key in defaults) continue
    const later = key === 'outboxStore' ? ': it comes with a later version' : ''
    throw new RealtimeError('invalid_options', `there is no option ${key} in ${what}${later}`)
  }
  const given = Object.entries(input).filter(([, value]) => value !== undefined)
  return { ...defaults, ...Object.fromEntries(given) }
}

function check<Value>(
  value: unknown,
  valid: (value: unknown) => boolean,
  { name, expected }: { name: string; expected: string },
): Value {
  if (!valid(value)) throw invalid(name, value, expected)
  return value as Value
}

function numberFrom(
  name: string,
  value: unknown,
  { min, max = Infinity }: { min: number; max?: number },
): number {
  const expected = max === Infinity ? `a number of at least ${min}` : `${min} to ${max}`
  const valid = (v: unknown): boolean => typeof v === 'number' && v >= min && v <= max
  return check(value, valid, { name, expected })
}

function areTransports(value: unknown): boolean {
  const known: readonly unknown[] = ['websocket', 'polling']
  return Array.isArray(value) && value.length > 0 && value.every((name) => known.includes(name))
}

function checkUrl(url: unknown): string {
  const expected = 'ws://, wss://, http:// or https:// and a host'
  const match = typeof url === 'string' ? /^(?:ws|http)s?:\/\/[^/?#]+(\/[^?#]*)?/i.exec(url) : null
  if (match === null) throw invalid('url', url, expected)
  if ((match[1] ?? '/') !== '/') {
    throw invalid('url', url, 'no path: the one of the server goes into the option `path`')
  }
  return url as string
}

/** Never shows what was given: it may be a token. */
function checkAuth(auth: unknown): Auth {
  if (typeof auth === 'string' || typeof auth === 'function' || auth === null) return auth as Auth
  const message = `auth must be a string or a function, got ${kindOf(auth)}`
  throw new RealtimeError('invalid_options', message)
}

function invalid(name: string, value: unknown, expected: string): RealtimeError {
  const got = typeof value === 'string' ? JSON.stringify(value) : String(value)
  return new RealtimeError('invalid_options', `${name} must be ${expected}, got ${got}`)
}
