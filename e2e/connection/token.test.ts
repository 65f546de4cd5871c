import type { RealtimeServiceOptions } from '@bmt-central/realtime-server'
import { describe, expect, test } from 'vitest'
import { connectionOf, failureOf } from '../failure.js'
import { World } from '../harness.js'
import { range, Reader } from '../reader.js'
import { steppedClock } from '../stepped-clock.js'
import { until, within } from '../until.js'

const TOPIC = 'open:room'

type Authenticate = RealtimeServiceOptions['authenticate']

describe('a token that expires on a live connection', () => {
  test('[P10][C6][P1][P2] auth() gives a fresh one: the connection is replaced, no message is lost, in neither direction', async () => {
    const clock = steppedClock()
    const authenticate: Authenticate = () => ({
      userId: 'ada',
      role: 'user',
      expiresAt: clock.now() + 45_000,
    })
    await using world = await World.start({ authenticate, runtime: clock.runtime })
    const tokens: string[] = []
    const auth = (): string => {
      tokens.push(`token ${tokens.length + 1}`)
      return tokens.at(-1) ?? ''
    }
    const client = await world.join('ada', { auth })
    const codes: (string | null)[] = []
    world.service.on('disconnect', ({ code }) => codes.push(code))
    const heard = await Reader.live(client, TOPIC)

    const acks: Promise<unknown>[] = []
    const publishSome = (): void => {
      for (let count = 0; count < 10; count += 1) {
        acks.push(world.service.publish(TOPIC, 'server'), client.publish(TOPIC, 'client'))
      }
    }
    for (const round of range(1, 4)) {
      publishSome()
      await clock.advance(45_000)
      publishSome()
      await until(() => client.getStats().reconnectCount === round, 'the client to be back')
    }
    await within(Promise.all(acks), 'all acknowledgements')
    await heard.received(160)

    expect(heard.seqs).toEqual(range(1, 160))
    expect(heard.gaps).toEqual([])
    expect(heard.payloads.filter((payload) => payload === 'client')).toHaveLength(80)
    expect(codes).toEqual(range(1, 4).map(() => 'token_expired'))
    expect(tokens).toEqual(range(1, 5).map((number) => `token ${number}`))
  })

  test('[P10][C1][C6] the same token again: it ends, with that code; setToken() goes on from where it was', async () => {
    const clock = steppedClock()
    const expiresAt = clock.now() + 45_000
    const authenticate: Authenticate = ({ token }) => ({
      userId: 'ada',
      role: 'user',
      ...(token === 'short' && { expiresAt }),
    })
    await using world = await World.start({ authenticate, runtime: clock.runtime })
    const client = await world.join('ada', { auth: 'short' })
    const told = connectionOf(client)
    const heard = await Reader.live(client, TOPIC)
    await clock.advance(44_999)
    await world.service.publish(TOPIC, 'in time')
    await heard.received(1)
    await clock.advance(1)
    await world.service.publish(TOPIC, 'missed')
    await until(() => client.status === 'disconnected', 'the token to expire')
    expect(told.at(-1)?.error).toMatchObject({ code: 'token_expired', kind: 'authentication' })
    expect((await failureOf(client.connect())).code).toBe('token_expired')

    client.setToken('long')
    await heard.received(2)
    expect(client.status).toBe('connected')
    expect(heard.payloads).toEqual(['in time', 'missed'])
    expect(heard.gaps).toEqual([])
  })
})

describe('auth()', () => {
  test('[C6] is asked for every connect; where it fails, that is a failed attempt', async () => {
    await using world = await World.start()
    const line = await world.line()
    let asked = 0
    const auth = (): Promise<string> => {
      asked += 1
      const failing = asked === 2 || asked === 3
      return failing ? Promise.reject(new Error('no answer')) : Promise.resolve('dev:ada')
    }
    const client = await world.join('ada', { url: line.url, auth })
    const told = connectionOf(client)
    expect(asked).toBe(1)
    line.cut()
    await until(() => client.status === 'connected' && asked > 1, 'the client to be back')
    expect(asked).toBe(4)
    const errors = told.map(({ error }) => (error?.cause as Error | undefined)?.message)
    expect(errors.filter((message) => message === 'no answer').length).toBeGreaterThanOrEqual(2)
  })

  test('[C6][C1] a refused token is asked for once more, and another one is taken', async () => {
    await using world = await World.start()
    const tokens = ['stale', 'dev:ada']
    const client = await world.join('ada', { auth: () => tokens.shift() ?? null })
    expect(client.user).toMatchObject({ userId: 'ada' })
    expect(tokens).toEqual([])
  })

  test('[C6][C1][P5] the same refused token again is final: what waits is rejected with its code', async () => {
    await using world = await World.start()
    let asked = 0
    const client = world.client('ada', {
      auth: () => {
        asked += 1
        return 'wrong'
      },
    })
    const waiting = failureOf(client.publish(TOPIC, 1))
    expect((await failureOf(client.connect())).code).toBe('unauthenticated')
    expect((await waiting).code).toBe('unauthenticated')
    expect([asked, client.status]).toEqual([2, 'disconnected'])
    client.setToken('dev:ada')
    await within(client.publish(TOPIC, 2), 'a publish after the right token')
  })
})

describe('setToken() on a live connection', () => {
  test('[C6][C8][P2] replaces it by one with the new token; nothing is lost meanwhile', async () => {
    await using world = await World.start()
    const client = await world.join('ada')
    const heard = await Reader.live(client, TOPIC)
    const before = client.getStats().connectionId
    const acks: Promise<unknown>[] = []
    for (const number of range(1, 40)) {
      acks.push(client.publish(TOPIC, number))
      if (number === 20) client.setToken('dev:ada:editor')
    }
    await within(Promise.all(acks), 'all acknowledgements')
    await heard.received(40)
    expect(heard.payloads).toEqual(range(1, 40))
    expect(heard.seqs).toEqual(range(1, 40))
    expect(client.user).toMatchObject({ userId: 'ada', role: 'editor' })
    expect(client.getStats().connectionId).not.toBe(before)
    await until(() => world.service.getStats().connections === 1, 'the old connection to go')
  })
})
