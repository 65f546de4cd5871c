import { failed, wrongUsage } from './failure.js'

/** What `serve` was told, by flags and environment, read and checked. Flags win. */
export interface ServeSettings {
  /** 0 takes any free port. */
  readonly port: number
  readonly host: string
  readonly authentication:
    | { readonly kind: 'dev' }
    | {
        readonly kind: 'jwt'
        readonly secret: string
        /** null: not checked. */
        readonly issuer: string | null
        readonly audience: string | null
      }
  /** Path of a JSON file. */
  readonly config: string | null
  /** Empty: what the configuration file says, else same origin only. */
  readonly corsOrigins: readonly string[]
  /** Directory of the durable broker; null: in memory. */
  readonly data: string | null
  /** How long a directory that another process holds is waited for; 0: not at all. */
  readonly lockWaitMs: number
  /** null: not given. */
  readonly drainMs: number | null
  readonly logLevel: LogLevel
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/** The flags as they were typed; absent ones are looked for in the environment. */
export interface ServeFlags {
  readonly port?: string
  readonly host?: string
  readonly dev?: boolean
  readonly jwtSecret?: string
  readonly jwtIssuer?: string
  readonly jwtAudience?: string
  readonly config?: string
  readonly data?: string
  readonly lockWaitMs?: string
  readonly redis?: string
  readonly corsOrigin?: readonly string[]
  readonly drainMs?: string
  readonly logLevel?: string
}

export type Environment = Readonly<Record<string, string | undefined>>

const DEFAULT_PORT = 3000
const DEFAULT_HOST = '127.0.0.1'
const MAX_WAIT_MS = 3_600_000
const LOG_LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error']

/** The environment variable of a flag: `--jwt-secret` is `BMT_REALTIME_JWT_SECRET`. */
export function variableOf(flag: string): string {
  return `BMT_REALTIME_${flag.replace(/^--/, '').replaceAll('-', '_').toUpperCase()}`
}

/** A value and the name under which the person gave it. */
interface Given {
  readonly name: string
  readonly value: string
}

/**
 * Reads flags and environment.
 * @throws Failure with exit code 2 (cannot be read) or 1 (insecure, or not in this version)
 */
export function resolveSettings(flags: ServeFlags, environment: Environment): ServeSettings {
  const given = (flag: string, typed: string | undefined): Given | null => {
    if (typed !== undefined) {
      if (typed === '') throw wrongUsage(`${flag} must not be empty`)
      return { name: flag, value: typed }
    }
    // An empty variable counts as absent: compose files and units leave them behind.
    const value = environment[variableOf(flag)]
    return value === undefined || value === '' ? null : { name: variableOf(flag), value }
  }

  refuseLater(given('--redis', flags.redis), 'the broker for many servers')

  const drain = given('--drain-ms', flags.drainMs)
  const data = given('--data', flags.data)
  const lockWait = given('--lock-wait-ms', flags.lockWaitMs)
  if (lockWait !== null && data === null) throw wrongUsage(`${lockWait.name} needs --data`)
  return {
    port: readPort(given('--port', flags.port)),
    host: given('--host', flags.host)?.value ?? DEFAULT_HOST,
    authentication: refuseProduction(readAuthentication(flags, given), environment),
    config: given('--config', flags.config)?.value ?? null,
    corsOrigins: readOrigins(flags.corsOrigin, given('--cors-origin', undefined)),
    data: data?.value ?? null,
    lockWaitMs: lockWait === null ? 0 : readNumber(lockWait, MAX_WAIT_MS, 'a number of ms'),
    drainMs: drain === null ? null : readNumber(drain, MAX_WAIT_MS, 'a number of ms'),
    logLevel: readLogLevel(given('--log-level', flags.logLevel)),
  }
}

function refuseLater(given: Given | null, what: string): void {
  if (given === null) return
  throw failed(
    `${given.name} is not there yet: ${what} comes with a later version. ` +
      'Start without it; --data keeps messages on the disk of one server.',
  )
}

function readPort(given: Given | null): number {
  if (given === null) return DEFAULT_PORT
  try {
    return readNumber(given, 65_535, 'a port')
  } catch (error) {
    // Kubernetes sets this very variable for a Service that is called bmt-realtime.
    if (!/^\w+:\/\//.test(given.value) || given.name === '--port') throw error
    throw wrongUsage(
      `${given.name} must be a port from 0 to 65535, got an address. Where Kubernetes has set it ` +
        'for a Service of this name, give --port or set enableServiceLinks: false.',
    )
  }
}

function readNumber(given: Given, max: number, what: string): number {
  const value = /^\d{1,10}$/.test(given.value) ? Number(given.value) : Number.NaN
  if (value <= max) return value
  throw wrongUsage(
    `${given.name} must be ${what} from 0 to ${max}, got ${JSON.stringify(given.value)}`,
  )
}

function readAuthentication(
  flags: ServeFlags,
  given: (flag: string, typed: string | undefined) => Given | null,
): ServeSettings['authentication'] {
  const dev = flags.dev === true || readSwitch(given('--dev', undefined))
  const secret = given('--jwt-secret', flags.jwtSecret)
  const issuer = given('--jwt-issuer', flags.jwtIssuer)
  const audience = given('--jwt-audience', flags.jwtAudience)
  if (dev && secret !== null) {
    throw wrongUsage(`--dev and ${secret.name} exclude each other: choose one of them`)
  }
  if (secret !== null) {
    return {
      kind: 'jwt',
      secret: secret.value,
      issuer: issuer?.value ?? null,
      audience: audience?.value ?? null,
    }
  }
  const lonely = issuer ?? audience
  if (lonely !== null) throw wrongUsage(`${lonely.name} needs --jwt-secret`)
  if (dev) return { kind: 'dev' }
  throw failed(
    'refusing to start without authentication: anybody could be anybody. Give --jwt-secret ' +
      `(better as ${variableOf('--jwt-secret')}: command lines are visible to others), or --dev ` +
      'on your own machine.',
  )
}

function refuseProduction(
  authentication: ServeSettings['authentication'],
  environment: Environment,
): ServeSettings['authentication'] {
  if (authentication.kind !== 'dev' || environment['NODE_ENV'] !== 'production') {
    return authentication
  }
  throw failed(
    'refusing to start: NODE_ENV is production, and --dev accepts tokens that anybody can write. ' +
      'Use --jwt-secret.',
  )
}

function readSwitch(given: Given | null): boolean {
  if (given === null) return false
  const value = given.value.toLowerCase()
  if (value === 'true' || value === '1') return true
  if (value === 'false' || value === '0') return false
  throw wrongUsage(`${given.name} must be true or false, got ${JSON.stringify(given.value)}`)
}

function readOrigins(typed: readonly string[] | undefined, given: Given | null): string[] {
  const [name, values] =
    typed !== undefined
      ? ['--cors-origin', typed]
      : [given?.name ?? '', given?.value.split(/[\s,]+/).filter((part) => part !== '') ?? []]
  for (const value of values) {
    if (isOrigin(value)) continue
    throw wrongUsage(
      `${name} must be an origin such as https://app.example.com, got ${JSON.stringify(value)}`,
    )
  }
  return [...values]
}

/** Scheme, host and port, also of schemes that applications on phones have (`capacitor://localhost`). */
function isOrigin(value: string): boolean {
  return /^[a-z][a-z0-9+.-]*:\/\/[^/?#\s*@]+\/?$/iu.test(value) && URL.canParse(value)
}

function readLogLevel(given: Given | null): LogLevel {
  if (given === null) return 'info'
  const level = LOG_LEVELS.find((candidate) => candidate === given.value)
  if (level !== undefined) return level
  throw wrongUsage(
    `${given.name} must be ${LOG_LEVELS.join(', ')}, got ${JSON.stringify(given.value)}`,
  )
}
