import { readFileSync } from 'node:fs'
import { failed } from './failure.js'
import type { RealtimeServiceOptions } from '@bmt-central/realtime-server'

/** The part of the server's options that JSON can say. Values are checked by the service itself. */
export type FileConfig = Pick<
  RealtimeServiceOptions,
  'channels' | 'limits' | 'cors' | 'events' | 'anonymous' | 'heartbeatInterval' | 'trustProxy'
>

const KEYS: readonly (keyof FileConfig)[] = [
  'channels',
  'limits',
  'cors',
  'events',
  'anonymous',
  'heartbeatInterval',
  'trustProxy',
]

/** Options that only a program can give, and where to give them. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  authenticate: 'use --jwt-secret or --dev',
  broker: 'the broker is chosen by flags',
  path: 'stand-alone servers listen on /socket.io',
  host: 'use --host',
  port: 'use --port',
}

/**
 * Reads `--config`.
 * @throws Failure with exit code 1, naming the file and the key
 */
export function readConfigFile(path: string): FileConfig {
  const value = parse(path, readText(path))
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw failed(`${path}: the configuration must be a JSON object`)
  }
  for (const [key, part] of Object.entries(value)) {
    if (!(KEYS as readonly string[]).includes(key)) throw unknownKey(path, key)
    refuseNull(path, key, part)
  }
  return value as FileConfig
}

function unknownKey(path: string, key: string): Error {
  const hint = Object.hasOwn(ELSEWHERE, key) ? ELSEWHERE[key] : `known are ${KEYS.join(', ')}`
  return failed(`${path}: unknown key ${JSON.stringify(key)}: ${hint}`)
}

/** `null` would pass for "not given" further on, and so hide that a value is missing. */
function refuseNull(path: string, where: string, value: unknown): void {
  if (value === null) throw failed(`${path}: ${where} must not be null`)
  if (typeof value !== 'object') return
  for (const [key, part] of Object.entries(value as Record<string, unknown>)) {
    refuseNull(path, Array.isArray(value) ? `${where}[${key}]` : `${where}.${key}`, part)
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw failed(`--config ${path} cannot be read: ${reason}`, error)
  }
}

function parse(path: string, text: string): unknown {
  try {
    return JSON.parse(text.replace(/^\uFEFF/, ''))
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw failed(`${path} is no JSON: ${reason}`, error)
  }
}
