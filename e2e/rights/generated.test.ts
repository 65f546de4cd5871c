import type { RealtimeClient } from '@bmt-central/realtime'
import type { Principal } from '@bmt-central/realtime-protocol'
import { referenceOutcome, rightsWorld } from '@bmt-central/realtime-protocol/testing'
import { describe, expect, test } from 'vitest'
import { World } from '../harness.js'
import { attempt, AUTHENTICATE, KNOWLEDGE } from './knowledge.js'

const WORLDS = 20
const SIZE = { rules: 8, users: 8, requests: 500 }
/** Requests that one test has on their way at once. */
const AT_ONCE = 250

/** It is rights that are asked for here: no rate may answer in their place. */
const UNLIMITED = {
  publishesPerSecond: 1e6,
  publishBurst: 1e6,
  requestsPerSecond: 1e6,
  requestBurst: 1e6,
  maxSubscriptionsPerConnection: 10_000,
} as const

/** One connection for each user of a generated world. */
async function connectAll(
  world: World,
  users: readonly Principal[],
): Promise<Map<Principal, RealtimeClient>> {
  const clients = new Map<Principal, RealtimeClient>()
  for (const user of users) {
    clients.set(user, await world.join(user.userId, { auth: JSON.stringify(user) }))
  }
  return clients
}

function can(client: RealtimeClient, request: { user: Principal; action: string; topic: string }) {
  const { user, action, topic } = request
  return action === 'subscribe'
    ? client.canAccessChannel(topic, user.role, user.userId, user.permissions)
    : client.canPublishToChannel(topic, user.role, user.userId, user.permissions)
}

// 20 worlds of 500 requests: 10,000 cases, each asked three times.
describe.each(Object.entries(KNOWLEDGE))('with %s', (_, server) => {
  test('[R8][R5][R7][P8] on 10,000 generated cases the client never denies what the server allows', async () => {
    const faults: object[] = []
    let cases = 0
    const tally = { allow: 0, permission_denied: 0, invalid_topic: 0 }
    for (let seed = 1; seed <= WORLDS; seed += 1) {
      const { rules, users, requests } = rightsWorld(seed, SIZE)
      const options = { ...server(rules), authenticate: AUTHENTICATE, limits: UNLIMITED }
      await using world = await World.start(options)
      const clients = await connectAll(world, users)
      for (let first = 0; first < requests.length; first += AT_ONCE) {
        const some = requests.slice(first, first + AT_ONCE)
        const outcomes = await Promise.all(
          some.map(async (request) => {
            const client = clients.get(request.user)
            if (client === undefined) throw new Error('a user without a client')
            return { ...(await attempt(client, request)), can: can(client, request) }
          }),
        )
        some.forEach((request, index) => {
          const got = outcomes[index]
          const wanted = referenceOutcome(rules, request)
          const falselyDenied = wanted === 'allow' && got?.can !== true
          if (got?.outcome !== wanted || falselyDenied) faults.push({ seed, request, wanted, got })
          tally[wanted] += 1
          cases += 1
        })
      }
    }
    expect(faults).toEqual([])
    expect(cases).toBe(10_000)
    expect(Math.min(tally.allow, tally.permission_denied)).toBeGreaterThan(1_000)
    expect(tally.invalid_topic).toBeGreaterThan(100)
  })
})
