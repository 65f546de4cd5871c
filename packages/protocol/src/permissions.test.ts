import { describe, expect, test } from 'vitest'
import { RealtimeError } from './errors.js'
import {
  compileRules,
  decide,
  matchRule,
  parseAccess,
  preCheck,
  ruleWarnings,
  type Action,
  type Principal,
  type RuleSet,
  type WireRule,
} from './permissions.js'
import { RIGHTS_CASES, RIGHTS_RULES, RIGHTS_USERS, wireRules } from './testing/rights-table.js'
import { rightsWorld } from './testing/rights-world.js'
import type { Judge, RightsOutcome, TableRule } from './testing/rights-table.js'
import { referenceOutcome } from './testing/rights-reference.js'
import { parseTopic } from './topic.js'

/** What a server must do: the matcher decides, and a function is asked where it says so. */
function outcomeOf(
  rules: readonly TableRule[],
  set: RuleSet,
  request: { user: Principal; topic: string; action: Action },
): RightsOutcome {
  const { user, action } = request
  let topic
  try {
    topic = parseTopic(request.topic)
  } catch (error) {
    if (error instanceof RealtimeError && error.code === 'invalid_topic') return error.code
    throw error
  }
  const matched = matchRule(set, topic)
  const verdict = decide(matched, { user, topic, action })
  if (verdict !== 'ask') return verdict === 'allow' ? 'allow' : 'permission_denied'
  const judge = rules[matched?.index ?? -1]?.[action] as Judge
  return judge({ user, topic, action, params: matched?.params ?? {} })
    ? 'allow'
    : 'permission_denied'
}

/** Whether a client says no, with the rules known as one of `sets`. */
function deniedBySome(
  request: { user: Principal; topic: string; action: Action },
  sets: readonly (RuleSet | null)[],
): boolean {
  const topic = parseTopic(request.topic)
  return sets.some((set) => preCheck(set, { ...request, topic }) === 'deny')
}

const shownAs = (rules: readonly TableRule[]): { data: RuleSet; ask: RuleSet } => {
  const wire = wireRules(rules)
  const ask: WireRule[] = wire.map((rule) => ({ ...rule, subscribe: 'ask', publish: 'ask' }))
  return { data: compileRules(wire), ask: compileRules(ask) }
}

describe('the table of rights', () => {
  const { data, ask } = shownAs(RIGHTS_RULES)

  test('[R1][R2][R3][R4][R5][R6][R7] has at least 60 cases, each once', () => {
    const keys = RIGHTS_CASES.map(({ user, action, topic }) => `${user} ${action} ${topic}`)
    expect(RIGHTS_CASES.length).toBeGreaterThanOrEqual(60)
    expect(new Set(keys).size).toBe(keys.length)
  })

  test.each(RIGHTS_CASES.map((row) => ({ ...row, shown: JSON.stringify(row.topic) })))(
    '$rules $user, $action, $shown: $outcome',
    (row) => {
      const request = { ...row, user: RIGHTS_USERS[row.user] }
      expect(outcomeOf(RIGHTS_RULES, data, request)).toBe(row.outcome)
      expect(referenceOutcome(RIGHTS_RULES, request)).toBe(row.outcome)
    },
  )

  test('[R8] on the table the client never denies what the server allows', () => {
    const allowed = RIGHTS_CASES.filter(({ outcome }) => outcome === 'allow')
    expect(allowed.length).toBeGreaterThan(50)
    expect(
      allowed.filter((row) =>
        deniedBySome({ ...row, user: RIGHTS_USERS[row.user] }, [data, ask, null]),
      ),
    ).toEqual([])
  })

  test('[R8] with data rules the client denies by itself what the server would refuse', () => {
    const row = { user: RIGHTS_USERS.twelve, topic: 'user:1', action: 'subscribe' } as const
    expect(preCheck(data, row)).toBe('deny')
    expect(preCheck(ask, row)).toBe('deny')
    expect(preCheck(null, row)).toBe('ask')
  })
})

describe('10,000 generated cases', () => {
  const cases = Array.from({ length: 100 }, (_, index) => index + 1).flatMap((seed) => {
    const { rules, requests } = rightsWorld(seed, { users: 12, requests: 100 })
    const shown = shownAs(rules)
    return requests.map((request) => ({
      seed,
      rules,
      ...shown,
      request,
      truth: referenceOutcome(rules, request),
    }))
  })
  const allowed = cases.filter(({ truth }) => truth === 'allow')

  test('[R5][R7][P8] the matcher agrees with a second, naive implementation', () => {
    const wrong = cases.filter(
      ({ rules, data, request, truth }) => outcomeOf(rules, data, request) !== truth,
    )
    expect(cases).toHaveLength(10_000)
    expect(wrong.map(({ seed, request, truth }) => ({ seed, request, truth }))).toEqual([])
  })

  test('[R8] chance has made enough of each kind for the comparison to mean something', () => {
    const count = (outcome: RightsOutcome): number =>
      cases.filter(({ truth }) => truth === outcome).length
    expect(count('allow')).toBeGreaterThan(1_000)
    expect(count('permission_denied')).toBeGreaterThan(1_000)
    expect(count('invalid_topic')).toBeGreaterThan(100)
  })

  test("[R8] the client never denies what the server allows: rules sent, 'ask', null", () => {
    const wrong = allowed.filter(({ data, ask, request }) =>
      deniedBySome(request, [data, ask, null]),
    )
    expect(wrong.map(({ seed, request }) => ({ seed, request }))).toEqual([])
  })

  test('[R8] with rules sent, the client says yes by itself only where the server does', () => {
    const yes = cases
      .filter(({ truth }) => truth !== 'invalid_topic')
      .filter(({ data, request }) => {
        return preCheck(data, { ...request, topic: parseTopic(request.topic) }) === 'allow'
      })
    expect(yes.length).toBeGreaterThan(1_000)
    expect(yes.filter(({ truth }) => truth !== 'allow')).toEqual([])
  })
})

describe('matchRule', () => {
  test('[R7] the first rule that matches decides, with its place and what its names stood for', () => {
    const set = compileRules([
      { match: 'a:{x}:{y}', subscribe: 'nobody', publish: 'nobody' },
      { match: 'a:*', subscribe: 'anyone', publish: 'anyone' },
    ])
    expect(matchRule(set, 'a:1:2')).toMatchObject({ index: 0, params: { x: '1', y: '2' } })
    expect(matchRule(set, 'a:1')).toMatchObject({ index: 1, params: {} })
    expect(matchRule(set, 'b:1')).toBeNull()
  })

  test('[P8] a user without permissions, or without the list, is denied by a permission rule', () => {
    const set = compileRules([{ match: '*', subscribe: { permission: 'p' }, publish: 'nobody' }])
    const user = { userId: 'u', role: 'user' }
    const verdict = decide(matchRule(set, 'x'), { user, topic: 'x', action: 'subscribe' })
    expect(verdict).toBe('deny')
  })

  test('[T2] a pattern that is none is refused when the rules are compiled', () => {
    expect(() => compileRules([{ match: 'a::b', subscribe: 'anyone', publish: 'anyone' }])).toThrow(
      expect.objectContaining({ code: 'invalid_options' }),
    )
  })
})

describe('parseAccess', () => {
  test.each(['anyone', 'authenticated', 'admin', 'nobody'])('[R7] %s is a word', (word) => {
    expect(parseAccess(word, 'here')).toBe(word)
  })

  test('[R7] a role or a permission is an object of exactly that', () => {
    expect(parseAccess({ role: 'staff' }, 'here')).toEqual({ role: 'staff' })
    expect(parseAccess({ permission: 'p' }, 'here')).toEqual({ permission: 'p' })
  })

  test.each([
    ['everyone'],
    ['Anyone'],
    [''],
    [undefined],
    [null],
    [true],
    [[]],
    [{}],
    [{ role: '' }],
    [{ role: 7 }],
    [{ role: 'a', permission: 'b' }],
    [{ roles: ['a'] }],
    [() => true],
  ])('[R7] %j is refused, and the message says where', (value) => {
    expect(() => parseAccess(value, 'channels[3].publish')).toThrow(RealtimeError)
    expect(() => parseAccess(value, 'channels[3].publish')).toThrow(/^channels\[3\]\.publish must/)
  })
})

describe('ruleWarnings', () => {
  const warningsOf = (...matches: string[]) =>
    ruleWarnings(
      compileRules(
        matches.map((match) => ({ match, subscribe: 'anyone', publish: 'anyone' }) as const),
      ),
    )

  test('[T2] a rule that can never be reached is named with the one before it', () => {
    expect(warningsOf('chat:*', 'chat:{room}')).toEqual([
      { kind: 'unreachable', match: 'chat:{room}', other: 'chat:*' },
    ])
    expect(warningsOf('a:{x}', 'a:{y}')).toMatchObject([{ kind: 'unreachable' }])
    expect(warningsOf('a:b', 'cafe\u0301', 'caf\u00e9')).toMatchObject([{ other: 'caf\u00e9' }])
  })

  test('[T2] a rule that hides a built-in one is named with it', () => {
    expect(warningsOf('public:*')).toEqual([
      { kind: 'hides_built_in', match: 'public:*', other: 'public:*' },
    ])
    expect(warningsOf('*').map(({ other }) => other)).toEqual([
      'public:*',
      'private:*',
      'user:{userId}',
      'user:{userId}:*',
      'system:*',
    ])
  })

  test('[T2] rules that only overlap are no fault', () => {
    expect(warningsOf('chat:{room}', 'chat:*', 'public:staff:*', 'user:{id}:shared')).toEqual([])
  })
})
