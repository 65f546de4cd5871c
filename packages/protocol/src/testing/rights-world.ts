import type { Access, Action, Principal } from '../permissions.js'
import { seededRandom } from './seeded-random.js'
import type { Judge, TableRule } from './rights-table.js'

/** One application's rules, its users, and what they try: made by chance, the same for one seed. */
export interface RightsWorld {
  readonly rules: readonly TableRule[]
  readonly users: readonly Principal[]
  readonly requests: readonly RightsRequest[]
}

export interface RightsRequest {
  readonly user: Principal
  readonly action: Action
  /** As it is spelled: about one in ten is decomposed, about one in thirty no topic at all. */
  readonly topic: string
}

const NAMESPACES = ['public', 'private', 'user', 'system', '\u0440ublic'] as const
const USER_IDS = ['1', '12', 'alice', '\u0430lice', '\u00e9', 'a.b', 'c++', '1-x'] as const
const WORDS = ['a.b', 'axb', 'c++', 'cc', 'x', 'caf\u00e9', 'cafe', '1', '12', 'a-b'] as const
const ROLES = ['user', 'user', 'user', 'editor', 'admin', 'anonymous', 'Admin'] as const
const PERMISSIONS = ['private_channel_access', 'p1', 'p2'] as const
const FAULTS = ['', 'x:', ':x', 'a::b', 'a b', 'a*', '{x}', '\u200b'] as const

/** Sources of chance over one seeded generator. */
interface Chance {
  below(count: number): number
  one<T>(values: readonly T[]): T
  /** True once in `n`. */
  in(n: number): boolean
}

function chanceOf(seed: number): Chance {
  const random = seededRandom(seed)
  const below = (count: number): number => Math.floor(random() * count)
  return {
    below,
    one: <T>(values: readonly T[]): T => values[below(values.length)] as T,
    in: (n) => below(n) === 0,
  }
}

/** Rules that overlap each other and the built-in ones, and requests that hit and nearly hit them. */
export function rightsWorld(
  seed: number,
  size: { rules?: number; users: number; requests: number },
): RightsWorld {
  const chance = chanceOf(seed)
  const rules = Array.from({ length: size.rules ?? 8 }, () => ruleOf(chance))
  const users = Array.from({ length: size.users }, () => userOf(chance))
  const requests = Array.from({ length: size.requests }, () => ({
    user: chance.one(users),
    action: chance.one(['subscribe', 'publish'] as const),
    topic: topicOf(chance, rules),
  }))
  return { rules, users, requests }
}

function userOf(chance: Chance): Principal {
  return {
    userId: chance.one(USER_IDS),
    role: chance.one(ROLES),
    permissions: PERMISSIONS.filter(() => chance.in(2)),
  }
}

function ruleOf(chance: Chance): TableRule {
  return {
    match: patternOf(chance),
    ...(!chance.in(6) && { subscribe: accessOf(chance) }),
    ...(!chance.in(6) && { publish: accessOf(chance) }),
    ...(chance.in(3) && { admin: chance.in(2) }),
  }
}

function accessOf(chance: Chance): Access | Judge {
  switch (chance.below(7)) {
    case 0:
      return { role: chance.one(ROLES) }
    case 1:
      return { permission: chance.one(PERMISSIONS) }
    case 2:
      return ({ user, params }) => Object.values(params)[0] === user.userId
    case 3:
      return ({ user, topic, action }) =>
        (user.userId.length + topic.length + action.length) % 2 === 0
    default:
      return chance.one(['anyone', 'authenticated', 'admin', 'nobody'])
  }
}

function patternOf(chance: Chance): string {
  if (chance.in(25)) return '*'
  const segments = Array.from({ length: 1 + chance.below(3) }, (_, index) => {
    if (index === 0 && chance.in(2)) return chance.one(NAMESPACES)
    const word = chance.one(WORDS)
    const name = `{p${index}}`
    return chance.one([word, name, `${word}${name}`, `${name}-${word}`, `${word}-${name}@x`])
  })
  const pattern = segments.join(':')
  if (chance.in(3)) return `${pattern}:*`
  return chance.in(4) && !pattern.endsWith('}') ? `${pattern}*` : pattern
}

function topicOf(chance: Chance, rules: readonly TableRule[]): string {
  if (chance.in(30)) return chance.one(FAULTS)
  const filled = (text: string): string =>
    text
      .replace(/\{\w+\}/g, () => chance.one([...WORDS, ...USER_IDS]))
      .replace(/\*$/, () => chance.one(['x', 'x:y', '1']))
  const topic = chance.in(2)
    ? filled(chance.one(rules).match)
    : [
        chance.one([...NAMESPACES, ...WORDS]),
        ...Array.from({ length: chance.below(3) }, () => chance.one([...USER_IDS, ...WORDS])),
      ].join(':')
  return chance.in(10) ? topic.normalize('NFD') : topic
}
