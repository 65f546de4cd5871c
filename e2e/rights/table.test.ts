import type { RealtimeClient } from '@bmt-central/realtime'
import {
  RIGHTS_CASES,
  RIGHTS_RULES,
  RIGHTS_USERS,
  type RightsCase,
  type RightsUser,
} from '@bmt-central/realtime-protocol/testing'
import { afterAll, describe, expect, test } from 'vitest'
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
  const [sent, keptBack] = ['rules that are sent', 'rules that are kept back'].map((knowledge) =>
    casts.get(knowledge),
  )
  if (sent === undefined || keptBack === undefined) throw new Error('there are no servers')
  const asked: string[] = []
  sent.world.service.on('denied', ({ topic }) => asked.push(topic ?? ''))
  const isFunction = (topic: string): boolean => topic.startsWith('document:')
  const refused = RIGHTS_CASES.filter(
    ({ outcome, topic }) => outcome === 'permission_denied' && !isFunction(topic),
  )
  for (const { user, action, topic } of refused) {
    // The id of an anonymous user is another one on each connection, and part of the text.
    if (user === 'anonymous') continue
    const [own, answered] = [
      await attempt(await sent.client(user), { action, topic }),
      await attempt(await keptBack.client(user), { action, topic }),
    ]
    const shown = ({ error }: typeof own) => [error?.message, error?.details, error?.retryable]
    expect(shown(own), `${user} ${action} ${topic}`).toEqual(shown(answered))
  }
  expect(refused.length).toBeGreaterThan(60)
  expect(asked).toEqual([])
})
