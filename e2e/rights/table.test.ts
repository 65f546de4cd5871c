import type { RealtimeClient, RealtimeError } from '@bmt-central/realtime'
import {
  RIGHTS_CASES,
  RIGHTS_RULES,
  RIGHTS_USERS,
  type RightsCase,
  type RightsUser,
} from '@bmt-central/realtime-protocol/testing'
import { afterAll, describe, expect, test } from 'vitest'
import { refusalByWire } from '../failure.js'
import { World } from '../harness.js'
import { within } from '../until.js'
import { attempt, AUTHENTICATE, KNOWLEDGE } from './knowledge.js'

/** A server with the table's rules, and one client for each of the table's users. */
class Cast {
  readonly #world: World
  readonly #clients = new Map<RightsUser, Promise<RealtimeClient>>()

  constructor(world: World) {
    this.#world = world
  }

  get world(): World {
    return this.#world
  }

  /** `anonymous` is whoever comes without a token. */
  client(name: RightsUser): Promise<RealtimeClient> {
    const token = name === 'anonymous' ? null : JSON.stringify(RIGHTS_USERS[name])
    const client =
      this.#clients.get(name) ?? within(this.#world.join(name, { auth: () => token }), name)
    this.#clients.set(name, client)
    return client
  }
}

const casts = new Map<string, Cast>()
for (const [knowledge, server] of Object.entries(KNOWLEDGE)) {
  const options = { ...server(RIGHTS_RULES), authenticate: AUTHENTICATE, anonymous: true }
  casts.set(knowledge, new Cast(await World.start(options)))
}
afterAll(async () => {
  for (const { world } of casts.values()) await world[Symbol.asyncDispose]()
})

function titleOf({ rules, user, action, topic, outcome }: RightsCase): string {
  return `${rules} ${user}: ${action} to ${shown(topic)} is ${outcome}`
}

/** Look-alikes and what cannot be seen at all by their code points; long ones by their length. */
function shown(topic: string): string {
  if (topic.length > 100) return `a topic of ${topic.length} characters`
  const codePoint = (unit: string): string =>
    `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
  return `"${topic.replace(/[^ -~]/g, codePoint)}"`
}

test('[R7] the table has at least 60 cases, allowed ones and refused ones', () => {
  const outcomes = (outcome: string) => RIGHTS_CASES.filter((each) => each.outcome === outcome)
  expect(RIGHTS_CASES.length).toBeGreaterThanOrEqual(60)
  expect(outcomes('allow').length).toBeGreaterThanOrEqual(20)
  expect(outcomes('permission_denied').length).toBeGreaterThanOrEqual(20)
  expect(outcomes('invalid_topic').length).toBeGreaterThanOrEqual(5)
})

describe.each([...casts])('with %s', (_, cast) => {
  test.each(RIGHTS_CASES.map((each) => [titleOf(each), each] as const))(
    '%s',
    async (_title, { user, action, topic, outcome }) => {
      const client = await cast.client(user)
      const got = await within(attempt(client, { action, topic }), 'an answer')
      expect(got.outcome).toBe(outcome)
      // Whoever asks before trying is never told no where the server says yes.
      const { userId = '', role = '', permissions } = client.user ?? {}
      const can =
        action === 'subscribe'
          ? client.canAccessChannel(topic, role, userId, permissions)
          : client.canPublishToChannel(topic, role, userId, permissions)
      expect(can || outcome !== 'allow').toBe(true)
    },
  )
})

test('[R8] a refusal by the client saves the request, and is the same error as the server’s', async () => {
  const cast = casts.get('rules that are sent')
  if (cast === undefined) throw new Error('there is no server')
  const { service, url } = cast.world
  const asked: unknown[] = []
  const stop = service.on('denied', (event) => asked.push(event))
  // Only the server can ask functions; the id of an anonymous user is another one each time.
  const refused = RIGHTS_CASES.filter(
    ({ outcome, topic, user }) =>
      outcome === 'permission_denied' && !topic.startsWith('document:') && user !== 'anonymous',
  )
  const own = new Map<RightsCase, RealtimeError | null>()
  for (const each of refused) {
    own.set(each, (await attempt(await cast.client(each.user), each)).error)
  }
  expect(asked).toEqual([])
  expect(own.size).toBeGreaterThan(60)
  stop()

  // An ordinary Socket.IO client knows no rules and asks.
  const answered = new Map<RightsCase, RealtimeError>()
  for (const [each] of own) {
    const token = JSON.stringify(RIGHTS_USERS[each.user])
    const request = { topic: each.topic, payload: 'hello' }
    answered.set(each, await refusalByWire({ url, token }, [[each.action, request]]))
  }
  const shown = (error: RealtimeError | null | undefined) => [error?.message, error?.details]
  for (const [each, error] of own) {
    expect(shown(error), titleOf(each)).toEqual(shown(answered.get(each)))
  }
})
