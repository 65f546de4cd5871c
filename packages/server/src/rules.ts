import {
  compileRules,
  isSchema,
  parseAccess,
  ruleWarnings,
  type Access,
  type Action,
  type Delivery,
  type Logger,
  type Overflow,
  type Params,
  type RuleSet,
  type Schema,
  type User,
  type WireRule,
} from '@bmt-central/realtime-protocol'
import type { StreamPolicy } from './broker/broker.js'
import type { Limits } from './limits/limits.js'
import {
  booleanOption,
  fieldsOption,
  integerOption,
  invalidOption,
  refuseKeys,
} from './option-values.js'

/** Decides one request. Only `true` admits; what throws or takes over 5 s denies, retryable [P7]. */
export type AccessFunction = (request: {
  readonly user: User
  readonly topic: string
  readonly params: Params
  readonly action: Action
}) => boolean | Promise<boolean>

/**
 * Called before a client's publish is sequenced [R9], before each try of an id that is not accepted
 * yet: it must bear repetition by `id`. What it returns is published (nothing: the payload as it
 * is); a `RealtimeError` it throws is the publisher's answer, anything else is `publish_failed`.
 */
export type OnPublish = (request: {
  readonly user: User
  readonly topic: string
  readonly payload: unknown
  readonly id: string
}) => unknown

/** Who may do what to the topics of one pattern, and how they are kept [R7]. */
export interface ChannelRule {
  /** A pattern [T2]: `chat-room-*`, `document:{docId}:changes`. */
  readonly match: string
  /** Default `nobody`. */
  readonly subscribe?: Access | AccessFunction
  /** Default `nobody`. */
  readonly publish?: Access | AccessFunction
  /** `false`: admins are judged like everybody else. Default true. */
  readonly admin?: boolean
  /** Default `recoverable`. */
  readonly delivery?: Delivery
  /** What a slow reader gets [L8]. Default `recover`; ephemeral topics always have `latest`. */
  readonly overflow?: Overflow
  /** Replaces what it names of the limits of [L2] for these topics; 0 keeps nothing. */
  readonly history?: {
    /** Publications. */
    readonly size?: number
    readonly ttlMs?: number
    /** Payload bytes. */
    readonly bytes?: number
  }
  /** Validates payloads; its output is what is published. */
  readonly schema?: Schema
  readonly onPublish?: OnPublish
}

/** A rule as the server uses it: complete, checked. */
export interface ResolvedRule {
  /** What clients may know of it; functions are `'ask'`. */
  readonly wire: WireRule
  /** Null where `wire` decides. */
  readonly subscribe: AccessFunction | null
  /** Null where `wire` decides. */
  readonly publish: AccessFunction | null
  readonly policy: StreamPolicy
  readonly overflow: Overflow
  readonly schema: Schema | null
  readonly onPublish: OnPublish | null
}

/** An application's rules. */
export interface Rules {
  readonly set: RuleSet
  /** In the order of `set`: `matchRule`'s `index` is the place here. */
  readonly list: readonly ResolvedRule[]
  /** How topics under the built-in rules are kept. Rights of theirs are not in it: it admits nobody. */
  readonly fallback: ResolvedRule
}

const KEYS = [
  'match',
  'subscribe',
  'publish',
  'admin',
  'delivery',
  'overflow',
  'history',
  'schema',
  'onPublish',
] as const
const LATER = ['presence', 'binary'] as const

/**
 * Checks and completes an application's rules. Those that can never be reached, or hide a built-in
 * one, are logged [T2].
 * @throws RealtimeError `invalid_options`, naming rule and key
 */
export function resolveRules(
  channels: readonly ChannelRule[],
  limits: Limits,
  logger: Logger,
): Rules {
  if (!Array.isArray(channels)) throw invalidOption('channels', 'a list of rules', channels)
  const list = channels.map((rule, index) => resolveRule(rule, `channels[${index}]`, limits))
  const set = compileRules(list.map((rule) => rule.wire))
  for (const { kind, match, other } of ruleWarnings(set)) {
    if (kind === 'unreachable')
      logger.warn('a rule can never be reached', { match, earlier: other })
    else logger.warn('a rule hides a built-in one', { match, builtIn: other })
  }
  return Object.freeze({ set, list, fallback: fallbackRule(limits) })
}

function fallbackRule(limits: Limits): ResolvedRule {
  return Object.freeze<ResolvedRule>({
    wire: { match: '*', subscribe: 'nobody', publish: 'nobody' },
    subscribe: null,
    publish: null,
    policy: policyOf(undefined, 'recoverable', { where: '', limits }),
    overflow: 'recover',
    schema: null,
    onPublish: null,
  })
}

function resolveRule(input: unknown, where: string, limits: Limits): ResolvedRule {
  const rule = fieldsOption(where, input)
  refuseKeys(where, rule, { known: KEYS, later: LATER })
  const match = rule['match']
  if (typeof match !== 'string') throw invalidOption(`${where}.match`, 'a pattern', match)
  const subscribe = accessOf(rule['subscribe'], `${where}.subscribe`)
  const publish = accessOf(rule['publish'], `${where}.publish`)
  const delivery = wordOf(rule['delivery'], ['recoverable', 'ephemeral'], `${where}.delivery`)
  const overflow = wordOf(rule['overflow'], ['recover', 'latest'], `${where}.overflow`)
  if (delivery === 'ephemeral') refuseForEphemeral(rule, where)
  const admin = rule['admin'] === undefined || booleanOption(`${where}.admin`, rule['admin'])
  return Object.freeze<ResolvedRule>({
    wire: Object.freeze<WireRule>({
      match: match.normalize('NFC'),
      subscribe: subscribe.wire,
      publish: publish.wire,
      ...(!admin && { admin: false }),
      ...(delivery === 'ephemeral' && { delivery }),
      ...(overflow === 'latest' && { overflow }),
    }),
    subscribe: subscribe.ask,
    publish: publish.ask,
    policy: policyOf(rule['history'], delivery ?? 'recoverable', { where, limits }),
    // Of an ephemeral topic only the newest counts for somebody who reads too slowly [P11].
    overflow: delivery === 'ephemeral' ? 'latest' : (overflow ?? 'recover'),
    schema: schemaOf(rule['schema'], `${where}.schema`),
    onPublish: functionOf<OnPublish>(rule['onPublish'], `${where}.onPublish`),
  })
}

function refuseForEphemeral(rule: Readonly<Record<string, unknown>>, where: string): void {
  if (rule['history'] !== undefined) {
    throw invalidOption(`${where}.history`, 'left out: nothing of an ephemeral topic is kept', {})
  }
  if (rule['overflow'] === 'recover') {
    throw invalidOption(`${where}.overflow`, 'latest: an ephemeral topic cannot recover', 'recover')
  }
}

function accessOf(
  value: unknown,
  where: string,
): { wire: Access | 'ask'; ask: AccessFunction | null } {
  if (value === undefined) return { wire: 'nobody', ask: null }
  if (typeof value === 'function') return { wire: 'ask', ask: value as AccessFunction }
  return { wire: parseAccess(value, where), ask: null }
}

function wordOf<Word extends string>(
  value: unknown,
  words: readonly Word[],
  where: string,
): Word | undefined {
  if (value === undefined) return undefined
  const word = words.find((candidate) => candidate === value)
  if (word === undefined) throw invalidOption(where, words.join(' or '), value)
  return word
}

function policyOf(
  value: unknown,
  delivery: Delivery,
  { where, limits }: { readonly where: string; readonly limits: Limits },
): StreamPolicy {
  const history = value === undefined ? {} : fieldsOption(`${where}.history`, value)
  refuseKeys(`${where}.history`, history, { known: ['size', 'ttlMs', 'bytes'] })
  const part = (name: string, fallback: number): number =>
    history[name] === undefined
      ? fallback
      : integerOption(`${where}.history.${name}`, history[name], 0)
  return Object.freeze({
    delivery,
    size: part('size', limits.maxMessageHistory),
    ttlMs: part('ttlMs', limits.maxHistoryAgeMs),
    bytes: part('bytes', limits.maxHistoryBytes),
  })
}

function schemaOf(value: unknown, where: string): Schema | null {
  if (value === undefined) return null
  if (!isSchema(value)) throw invalidOption(where, 'a Standard Schema (zod, valibot, …)', value)
  return value
}

function functionOf<T>(value: unknown, where: string): T | null {
  if (value === undefined) return null
  if (typeof value !== 'function') throw invalidOption(where, 'a function', value)
  return value as T
}
