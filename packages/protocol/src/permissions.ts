import { RealtimeError } from './errors.js'
import { compilePattern, patternCovers, type Params, type Pattern } from './pattern.js'
import { kindOf, type Topic } from './topic.js'

/** Who is at the other end of a connection. */
export interface User {
  /** 1 to 128 characters that are valid in a topic segment [T3]. */
  userId: string
  role: string
  permissions?: readonly string[]
  /** ms since the Unix epoch; the connection ends then [P10]. */
  expiresAt?: number
  [claim: string]: unknown
}

/** The part of a user that rights are judged by. */
export interface Principal {
  readonly userId: string
  readonly role: string
  readonly permissions?: readonly string[]
}

/** `history` and `presence` need the right to subscribe, so there are two actions. */
export type Action = 'subscribe' | 'publish'

/** Who may do something, as data [R7]. */
export type Access =
  | 'anyone'
  | 'authenticated'
  | 'admin'
  | 'nobody'
  | { readonly role: string }
  | { readonly permission: string }

/** `recoverable`: retained, replayed, acknowledged; `ephemeral`: ordered and live only [P11]. */
export type Delivery = 'recoverable' | 'ephemeral'

/** What a slow reader gets [L8]: everything (it reconnects and recovers), or only the newest. */
export type Overflow = 'recover' | 'latest'

/** A rule as both sides can judge it [R8]: functions of the server are shown as `'ask'`. */
export interface WireRule {
  readonly match: string
  readonly subscribe: Access | 'ask'
  readonly publish: Access | 'ask'
  /** `false`: `{ role }` and `{ permission }` do not admit admins as well. Default true. */
  readonly admin?: boolean
  readonly delivery?: Delivery
  readonly overflow?: Overflow
  /** Whether payloads may hold `Uint8Array` parts. Default false. */
  readonly binary?: boolean
}

/** `ask`: only the server, which has the rule's function, can tell. */
export type Verdict = 'allow' | 'deny' | 'ask'

/** An application's rule that matched, its place in the list, and what its placeholders stood for. */
export interface RuleMatch {
  readonly rule: WireRule
  readonly index: number
  readonly params: Params
}

/** Application rules, compiled once. The built-in ones R1 to R5 follow them everywhere. */
export interface RuleSet {
  readonly rules: readonly WireRule[]
  readonly patterns: readonly Pattern[]
}

/**
 * Compiles an application's rules.
 * @throws RealtimeError `invalid_options`
 */
export function compileRules(rules: readonly WireRule[]): RuleSet {
  return { rules, patterns: rules.map((rule) => compilePattern(rule.match)) }
}

/** The first application rule whose pattern matches [R7], or null: then the built-in rules decide. */
export function matchRule(set: RuleSet, topic: Topic): RuleMatch | null {
  for (const [index, pattern] of set.patterns.entries()) {
    const params = pattern.match(topic)
    const rule = set.rules[index]
    if (params !== null && rule !== undefined) return { rule, index, params }
  }
  return null
}

/**
 * Whether a user may do something to a topic [P8]. Pure, the same on both sides. `matched` is what
 * `matchRule` said of the topic, so that it can be kept for a channel.
 */
export function decide(
  matched: RuleMatch | null,
  request: { readonly user: Principal; readonly topic: Topic; readonly action: Action },
): Verdict {
  const { user, topic, action } = request
  if (matched === null) return builtInAllows(user, topic, action) ? 'allow' : 'deny'
  const access = matched.rule[action]
  if (access === 'ask') return 'ask'
  return accessAllows(access, user, matched.rule.admin !== false) ? 'allow' : 'deny'
}

/** What a client may conclude from `connected.rules`, where null says that it does not know them [R8]. */
export function preCheck(
  set: RuleSet | null,
  request: { readonly user: Principal; readonly topic: Topic; readonly action: Action },
): Verdict {
  return set === null ? 'ask' : decide(matchRule(set, request.topic), request)
}

const ADMIN = 'admin'
/** The role of users without a token, where the server admits them [R7]. */
export const ANONYMOUS_ROLE = 'anonymous'
const PRIVATE_PERMISSION = 'private_channel_access'

function accessAllows(access: Access, user: Principal, admitAdmins: boolean): boolean {
  if (access === 'nobody') return false
  if (access === 'anyone') return true
  if (access === 'authenticated') return user.role !== ANONYMOUS_ROLE
  if (access === 'admin') return user.role === ADMIN
  if (admitAdmins && user.role === ADMIN) return true
  if ('role' in access) return user.role === access.role
  return user.permissions?.includes(access.permission) ?? false
}

type BuiltIn = Record<Action, Access | 'self'>

const BUILT_IN: readonly (readonly [Pattern, BuiltIn])[] = [
  // R1: anonymous users exist only where the application admits them.
  [compilePattern('public:*'), { subscribe: 'anyone', publish: 'authenticated' }],
  // R2
  [
    compilePattern('private:*'),
    { subscribe: { permission: PRIVATE_PERMISSION }, publish: { permission: PRIVATE_PERMISSION } },
  ],
  // R3, with the whole segment compared [R6].
  [compilePattern('user:{userId}'), { subscribe: 'self', publish: 'self' }],
  [compilePattern('user:{userId}:*'), { subscribe: 'self', publish: 'self' }],
  // R4
  [compilePattern('system:*'), { subscribe: 'authenticated', publish: 'admin' }],
]

function builtInAllows(user: Principal, topic: Topic, action: Action): boolean {
  if (user.role === ADMIN) return true // R5
  for (const [pattern, rule] of BUILT_IN) {
    const params = pattern.match(topic)
    if (params === null) continue
    const access = rule[action]
    return access === 'self' ? params['userId'] === user.userId : accessAllows(access, user, true)
  }
  return false
}

/** Something about a list of rules that its author should know [T2]. */
export interface RuleWarning {
  readonly kind: 'unreachable' | 'hides_built_in'
  readonly match: string
  /** The earlier rule's pattern, or the built-in one's. */
  readonly other: string
}

/** Rules that can never be reached, and rules that hide a built-in one [T2]: to be logged at start. */
export function ruleWarnings(set: RuleSet): RuleWarning[] {
  const warnings: RuleWarning[] = []
  set.patterns.forEach((pattern, index) => {
    const earlier = set.patterns.slice(0, index).find((other) => patternCovers(other, pattern))
    if (earlier !== undefined) {
      warnings.push({ kind: 'unreachable', match: pattern.source, other: earlier.source })
    }
    for (const [builtIn] of BUILT_IN) {
      if (patternCovers(pattern, builtIn)) {
        warnings.push({ kind: 'hides_built_in', match: pattern.source, other: builtIn.source })
      }
    }
  })
  return warnings
}

const WORDS: readonly unknown[] = ['anyone', 'authenticated', 'admin', 'nobody']

/**
 * Checks one side of a rule.
 * @throws RealtimeError `invalid_options`, naming `where`
 */
export function parseAccess(value: unknown, where: string): Access {
  if (WORDS.includes(value)) return value as Access
  if (typeof value === 'object' && value !== null) {
    const keys = Object.keys(value)
    const name = keys[0]
    if (keys.length === 1 && (name === 'role' || name === 'permission')) {
      const wanted: unknown = (value as Record<string, unknown>)[name]
      if (typeof wanted === 'string' && wanted !== '') return value as Access
    }
  }
  throw new RealtimeError(
    'invalid_options',
    `${where} must be anyone, authenticated, admin, nobody, { role } or { permission }, got ${
      typeof value === 'string' ? JSON.stringify(value) : kindOf(value)
    }`,
  )
}
