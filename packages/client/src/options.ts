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
import { browserStore, hasBrowserStore } from './publishing/browser-store.js'
import type { OutboxStore } from './publishing/outbox-store.js'
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
  /**
   * Keeps publishes that are not acknowledged over a reload or a crash; `onOutbox` tells what becomes
   * of them. `'browser'`: IndexedDB, in one tab at a time, the others wait for their turn and work
   * from memory. Default: memory only.
   */
  outboxStore?: 'browser' | OutboxStore
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
  readonly outboxStore: OutboxStore | null
  readonly path: string
  readonly transports: readonly TransportName[]
  readonly runtime: Runtime
  readonly logger: Logger
}

/** What one option may be. */
interface Rule<Value> {
  readonly fallback: Value
  readonly valid: (value: unknown) => boolean
  /** How that is said: "must be …". */
  readonly expected: string
  /** It may hold a token: only its kind is ever shown. */
  readonly secret?: boolean
}

type Rules = Readonly<Record<string, Rule<unknown>>>
type Values<Given extends Rules> = { readonly [Name in keyof Given]: Given[Name]['fallback'] }

/** Above this no queue in memory makes sense, nor does a walk through it. */
const MAX_QUEUE_SIZE = 100_000
const TRANSPORTS: readonly unknown[] = ['websocket', 'polling']

const number = (fallback: number, { min = 1, max = Infinity } = {}): Rule<number> => ({
  fallback,
  valid: (value) => typeof value === 'number' && value >= min && value <= max,
  expected: max === Infinity ? `a number of at least ${min}` : `${min} to ${max}`,
})

const like = <Value extends object>(fallback: Value, expected: string): Rule<Value> => ({
  fallback,
  valid: (value) => {
    const given = Object(value) as Record<string, unknown>
    return Object.entries(fallback).every(([key, of]) => typeof given[key] === typeof of)
  },
  expected,
})

const RECONNECT = {
  enabled: {
    fallback: true,
    valid: (value: unknown): boolean => typeof value === 'boolean',
    expected: 'true or false',
  },
  maxAttempts: number(-1, { min: -1 }),
  baseMs: number(1_000),
  capMs: number(30_000),
}

const OPTIONS = {
  url: {
    fallback: '',
    valid: (value: unknown): boolean =>
      typeof value === 'string' && /^(ws|http)s?:\/\/[^/?#]+\/?([?#]|$)/i.test(value),
    expected: 'ws://, wss://, http:// or https:// and a host (`path` is an option of its own)',
  },
  auth: {
    fallback: null as Auth,
    valid: (value: unknown): boolean => typeof value === 'string' || typeof value === 'function',
    expected: 'a string or a function',
    secret: true,
  },
  heartbeatInterval: number(30_000),
  reconnect: like<object>({}, 'an object'),
  maxQueueSize: number(1_000, { max: MAX_QUEUE_SIZE }),
  maxQueueBytes: number(8 * 1_024 * 1_024),
  publishTimeoutMs: number(10_000),
  publishDeadlineMs: number(60_000),
  maxOfflineMs: number(86_400_000),
  outboxStore: {
    fallback: null as 'browser' | OutboxStore | null,
    valid: (value: unknown): boolean =>
      value === 'browser'
        ? hasBrowserStore()
        : typeof (Object(value) as Partial<OutboxStore>).open === 'function',
    expected: "an OutboxStore, or 'browser' where there is IndexedDB (Node has none)",
  },
  path: {
    fallback: '/socket.io',
    valid: (value: unknown): boolean => typeof value === 'string' && value.startsWith('/'),
    expected: 'a path that begins with /',
  },
  transports: {
    fallback: ['websocket', 'polling'] as readonly TransportName[],
    valid: (value: unknown): boolean =>
      Array.isArray(value) && value.length > 0 && value.every((one) => TRANSPORTS.includes(one)),
    expected: 'a list of websocket and polling',
  },
  runtime: like(systemRuntime, 'a Runtime'),
  logger: like(silentLogger, 'a Logger'),
}

/**
 * Checks everything once, at the edge.
 * @throws RealtimeError `invalid_options`, naming the option and its value
 */
export function resolveOptions(input: RealtimeOptions): Readonly<ResolvedOptions> {
  const values = resolve('', OPTIONS, input)
  const { heartbeatInterval, reconnect, logger, outboxStore, ...rest } = values
  return Object.freeze({
    ...rest,
    url: required(rest.url),
    outboxStore: outboxStore === 'browser' ? browserStore(serverOf(rest)) : outboxStore,
    transports: [...rest.transports],
    heartbeatIntervalMs: heartbeatInterval,
    reconnect: Object.freeze(resolve('reconnect.', RECONNECT, reconnect)),
    logger: guarded(logger),
  })
}

function resolve<Given extends Rules>(prefix: string, rules: Given, input: unknown): Values<Given> {
  if (typeof input !== 'object' || input === null) {
    const what = prefix === '' ? 'the options' : prefix.slice(0, -1)
    throw invalid(`${what} must be an object, got ${kindOf(input)}`)
  }
  const values: Record<string, unknown> = {}
  for (const [name, { fallback }] of Object.entries(rules)) values[name] = fallback
  for (const [name, value] of Object.entries(input)) {
    if (value === undefined) continue
    const rule = Object.hasOwn(rules, name) ? rules[name] : undefined
    if (rule === undefined) {
      throw invalid(`there is no option ${prefix}${name}`)
    }
    if (!rule.valid(value)) {
      const plain = typeof value === 'string' ? JSON.stringify(value) : String(value)
      const got = rule.secret === true || typeof value === 'object' ? kindOf(value) : plain
      throw invalid(`${prefix}${name} must be ${rule.expected}, got ${got}`)
    }
    values[name] = value
  }
  return values as Values<Given>
}

function required(url: string): string {
  if (url === '') throw invalid('the option url is missing')
  return url
}

/** Which server it is, however it is spelt; what stands behind `?` may be a secret. */
function serverOf({ url, path }: { url: string; path: string }): string {
  return new URL(url.replace(/^ws/i, 'http')).host + path
}

function invalid(message: string): RealtimeError {
  return new RealtimeError('invalid_options', message)
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
