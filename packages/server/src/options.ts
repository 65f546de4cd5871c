import {
  REQUEST_EVENTS,
  silentLogger,
  utf8Length,
  type Logger,
  type Runtime,
  type WireRule,
} from '@bmt-central/realtime-protocol'
import type { Authenticate } from './auth/authenticate.js'
import { devHostsOf } from './auth/dev.js'
import type { Broker, BrokerLimits } from './broker/broker.js'
import { MemoryBroker } from './broker/memory-broker.js'
import { resolveLimits, type Limits } from './limits/limits.js'
import {
  booleanOption,
  fieldsOption,
  integerOption,
  invalidOption,
  refuseKeys,
} from './option-values.js'
import { resolveRules, type ChannelRule, type Rules } from './rules.js'
import { systemRuntime } from './system-runtime.js'

/** What a `RealtimeService` is made with. */
export interface RealtimeServiceOptions {
  /** `jwtAuth(…)`, `devAuth()`, or a function of your own. */
  readonly authenticate: Authenticate
  /** First match wins; the built-in rules follow [R7]. Default none. */
  readonly channels?: readonly ChannelRule[]
  /** `own`: Socket.IO events that the application handles itself. */
  readonly events?: { readonly own?: readonly string[] }
  /** Whether `X-Forwarded-For` names a connection's address. Default false. */
  readonly trustProxy?: boolean
  /** Admits connections without a token, for rules that say `anyone` [R7]. Default false. */
  readonly anonymous?: boolean
  /**
   * Compresses WebSocket messages (RFC 7692, without context takeover): a publication once for all of
   * its subscribers, from `thresholdBytes` on (default 1 024). Costs memory at both ends and some
   * 45 µs for 2 KiB. Default false.
   */
  readonly compression?: false | { readonly thresholdBytes?: number }
  /** How often clients are asked to say that they live, in ms. Default 30 000. */
  readonly heartbeatInterval?: number
  /** URL path. Default `/socket.io`. */
  readonly path?: string
  /** Default `new MemoryBroker()`. */
  readonly broker?: Broker
  /** Contract section 7. */
  readonly limits?: Partial<Limits>
  /** Pages of other origins that may connect [W9]. Default none: the same origin only. */
  readonly cors?: { readonly origin: string | readonly string[] }
  /** Whether clients are sent the rules, without their functions [R8]. Default true. */
  readonly shareRules?: boolean
  /** Clocks, timers, chances: for tests. */
  readonly runtime?: Runtime
  /** Default: nothing is logged. */
  readonly logger?: Logger
}

/** The options as the server uses them: complete, checked, frozen. */
export interface ResolvedOptions {
  readonly authenticate: Authenticate
  readonly rules: Rules
  readonly ownEvents: ReadonlySet<string>
  readonly trustProxy: boolean
  readonly anonymous: boolean
  /** Packets with so many bytes are compressed; null: none is. */
  readonly compressionThresholdBytes: number | null
  readonly heartbeatIntervalMs: number
  readonly path: string
  readonly broker: Broker
  readonly limits: Limits
  /** What the broker is told: without what only its kind has a default for [L18]. */
  readonly brokerLimits: BrokerLimits
  /** As browsers write them in `Origin`. */
  readonly origins: readonly string[]
  /** `authenticate` is `devAuth`: `Host` is checked, too, and may also be one of these [W9]. */
  readonly devHosts: readonly string[] | null
  /** For `connected.rules`; null where they are too large or kept back [R8]. */
  readonly wireRules: readonly WireRule[] | null
  readonly runtime: Runtime
  readonly logger: Logger
}

const KEYS = [
  'authenticate',
  'channels',
  'events',
  'trustProxy',
  'anonymous',
  'compression',
  'heartbeatInterval',
  'path',
  'broker',
  'limits',
  'cors',
  'shareRules',
  'runtime',
  'logger',
] as const
const LATER = ['http', 'topics'] as const

const HEARTBEAT_INTERVAL_MS = 30_000
const MAX_WIRE_RULES_BYTES = 32 * 1_024

/**
 * Checks and completes a service's options, once.
 * @throws RealtimeError `invalid_options`, naming the option
 */
export function resolveOptions(options: RealtimeServiceOptions): Readonly<ResolvedOptions> {
  const fields = fieldsOption('the options of RealtimeService', options)
  refuseKeys('', fields, { known: KEYS, later: LATER })
  const { authenticate, logger = silentLogger, runtime = systemRuntime(), broker } = options
  if (typeof authenticate !== 'function') {
    throw invalidOption('authenticate', 'jwtAuth(…), devAuth() or a function', authenticate)
  }
  const trustProxy = booleanOption('trustProxy', options.trustProxy ?? false)
  const devHosts = devHostsOf(authenticate)
  if (devHosts !== null && trustProxy) {
    // A stranger could name a loopback address in a header and be anybody.
    throw invalidOption('trustProxy', 'false with devAuth, which goes by the address', true)
  }
  const limits = resolveLimits(options.limits)
  const rules = resolveRules(options.channels ?? [], limits, logger)
  return Object.freeze<ResolvedOptions>({
    authenticate,
    rules,
    ownEvents: ownEventsOf(options.events ?? {}),
    trustProxy,
    anonymous: booleanOption('anonymous', options.anonymous ?? false),
    compressionThresholdBytes: compressionOf(options.compression ?? false),
    heartbeatIntervalMs: integerOption(
      'heartbeatInterval',
      options.heartbeatInterval ?? HEARTBEAT_INTERVAL_MS,
      1,
    ),
    path: pathOf(options.path ?? '/socket.io'),
    broker: broker === undefined ? new MemoryBroker() : portOf('broker', broker, BROKER_MEMBERS),
    limits,
    brokerLimits: brokerLimitsOf(limits, options.limits?.maxRetainedBytes),
    origins: options.cors === undefined ? [] : originsOf(options.cors),
    devHosts,
    wireRules: wireRulesOf(rules, booleanOption('shareRules', options.shareRules ?? true), logger),
    runtime: portOf('runtime', runtime, RUNTIME_MEMBERS),
    logger: portOf('logger', logger, LOGGER_MEMBERS),
  })
}

const COMPRESSION_THRESHOLD_BYTES = 1_024

function compressionOf(value: unknown): number | null {
  if (value === false) return null
  const fields = fieldsOption('compression', value)
  refuseKeys('compression', fields, { known: ['thresholdBytes'] })
  const threshold = fields['thresholdBytes'] ?? COMPRESSION_THRESHOLD_BYTES
  return integerOption('compression.thresholdBytes', threshold, 1)
}

function brokerLimitsOf(limits: Limits, maxRetainedBytes: number | undefined): BrokerLimits {
  const { idempotencyWindowMs, maxIdempotencyIds, maxTopics } = limits
  const given = maxRetainedBytes === undefined ? {} : { maxRetainedBytes }
  return { idempotencyWindowMs, maxIdempotencyIds, maxTopics, ...given }
}

const BROKER_MEMBERS = ['start', 'publish', 'accepted', 'follows', 'subscribers', 'read', 'close']
const RUNTIME_MEMBERS = ['wallNow', 'monotonicNow', 'after', 'random', 'id']
const LOGGER_MEMBERS = ['debug', 'info', 'warn', 'error']

/** A port with something missing would fail at its first use, long after the start. */
function portOf<T extends object>(name: string, value: T, members: readonly string[]): T {
  const object: unknown = value
  const missing =
    typeof object === 'object' && object !== null
      ? members.filter((member) => typeof Reflect.get(object, member) !== 'function')
      : members
  if (missing.length === 0) return value
  throw invalidOption(name, `an object with the functions ${missing.join(', ')}`, value)
}

/** Names that are taken: requests and events of the wire protocol, of this version or a later one. */
const TAKEN_EVENTS: ReadonlySet<string> = new Set([
  ...REQUEST_EVENTS,
  'presence',
  'refresh',
  'connected',
  'message',
  'heartbeat_ack',
  'token_expiring',
  'unsubscribed',
  'closing',
  // Socket.IO's own, and those of the emitter that it is made of.
  'connect',
  'connect_error',
  'connection',
  'disconnect',
  'disconnecting',
  'error',
  'newListener',
  'removeListener',
])

function ownEventsOf(events: unknown): ReadonlySet<string> {
  const fields = fieldsOption('events', events)
  refuseKeys('events', fields, { known: ['own'] })
  const own = fields['own'] ?? []
  if (!Array.isArray(own)) throw invalidOption('events.own', 'a list of event names', own)
  for (const [index, name] of own.entries()) {
    if (typeof name !== 'string' || name === '' || TAKEN_EVENTS.has(name)) {
      throw invalidOption(`events.own[${index}]`, 'an event name that is not taken', name)
    }
  }
  return new Set(own as string[])
}

function pathOf(value: unknown): string {
  const path = typeof value === 'string' ? value.replace(/\/$/u, '') : ''
  if (!/^(?:\/[\w.~@-]+)+$/u.test(path)) {
    throw invalidOption('path', 'a URL path below /, like /socket.io', value)
  }
  return path
}

function originsOf(cors: unknown): readonly string[] {
  const fields = fieldsOption('cors', cors)
  refuseKeys('cors', fields, { known: ['origin'] })
  const given = fields['origin']
  const list: unknown[] = Array.isArray(given) ? given : [given]
  return Object.freeze([...new Set(list.map((origin) => originOf(origin)))])
}

/** An origin as browsers write it: lower case, no default port, no path. */
function originOf(value: unknown): string {
  const refuse = (): Error => {
    const form = 'origins like https://app.example.com (scheme, host, port; no path, no *)'
    return invalidOption('cors.origin', form, value)
  }
  if (typeof value !== 'string') throw refuse()
  if (!/^[a-z][a-z0-9+.-]*:\/\/[^/?#\s*@]+\/?$/iu.test(value) || !URL.canParse(value))
    throw refuse()
  const { origin } = new URL(value)
  // Schemes that the URL standard does not know (capacitor:, app:) have the origin `null` there.
  return origin === 'null' ? value.replace(/\/$/u, '').toLowerCase() : origin
}

function wireRulesOf(rules: Rules, share: boolean, logger: Logger): readonly WireRule[] | null {
  if (!share) return null
  const bytes = utf8Length(JSON.stringify(rules.set.rules))
  if (bytes <= MAX_WIRE_RULES_BYTES) return rules.set.rules
  logger.warn('the rules are too large to be sent: clients ask for every topic', {
    bytes,
    maxBytes: MAX_WIRE_RULES_BYTES,
  })
  return null
}
