import { RealtimeError, type ErrorCode } from '@bmt-central/realtime-protocol'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  step,
  type ConnectionInput,
  type ConnectionState,
  type Effect,
  type StepEnv,
  type Transition,
} from './machine.js'

const env: StepEnv = {
  now: 0,
  random: 0.5,
  reconnect: { enabled: true, maxAttempts: -1, baseMs: 1_000, capMs: 30_000 },
}
const IDLE: ConnectionState = { status: 'idle', generation: 0, cause: null }

/** Runs inputs one after the other; `generation: 'now'` stands for the present one. */
function run(
  inputs: (ConnectionInput | ((state: ConnectionState) => ConnectionInput))[],
  environment: Partial<StepEnv> = {},
): { state: ConnectionState; effects: Effect[] } {
  let state = IDLE as ConnectionState
  let effects: Effect[] = []
  for (const input of inputs) {
    const made = typeof input === 'function' ? input(state) : input
    const transition = step(state, made, { ...env, ...environment })
    state = transition.next
    effects = [...transition.effects]
  }
  return { state, effects }
}

const connect: ConnectionInput = { type: 'connect' }
const admitted = ({ generation }: ConnectionState): ConnectionInput => ({
  type: 'admitted',
  generation,
})
const failed =
  (code: ErrorCode, options = {}) =>
  ({ generation }: ConnectionState): ConnectionInput => ({
    type: 'failed',
    generation,
    error: new RealtimeError(code, code, options),
  })
const due = ({ generation }: ConnectionState): ConnectionInput => ({ type: 'due', generation })
const types = (effects: readonly Effect[]): string[] => effects.map(({ type }) => type)

describe('a life without surprises', () => {
  test('[C1] idle, connecting, connected', () => {
    expect(run([]).state.status).toBe('idle')
    const opening = run([connect])
    expect(opening.state).toMatchObject({ status: 'connecting', phase: 'opening', generation: 1 })
    expect(types(opening.effects)).toEqual(['announce', 'open'])
    const live = run([connect, admitted])
    expect(live.state.status).toBe('connected')
    expect(types(live.effects)).toEqual(['announce', 'start'])
  })

  test('[C1] a lost connection is reconnecting, and connected again', () => {
    const lost = run([connect, admitted, failed('not_connected')])
    expect(lost.state).toMatchObject({ status: 'reconnecting', phase: 'waiting', attempt: 1 })
    expect(types(lost.effects)).toEqual(['drop', 'stop', 'announce', 'wait'])
    const back = run([connect, admitted, failed('not_connected'), due, admitted])
    expect(back.state.status).toBe('connected')
  })

  test('[C1] disconnected where it was asked for; closed never comes back', () => {
    const asked = run([connect, admitted, { type: 'disconnect' }])
    expect(asked.state).toMatchObject({ status: 'disconnected', cause: null })
    expect(types(asked.effects)).toEqual(['drop', 'stop', 'announce'])
    const closed = run([connect, { type: 'close' }, connect, { type: 'wake' }])
    expect(closed.state.status).toBe('closed')
    expect(closed.effects).toEqual([])
  })
})

describe('refusals', () => {
  test.each(['protocol_unsupported', 'kicked'] as const)('[C1] %s is final', (code) => {
    for (const inputs of [
      [connect, failed(code)],
      [connect, admitted, failed(code)],
    ]) {
      const { state, effects } = run(inputs)
      expect(state).toMatchObject({ status: 'disconnected', cause: { code } })
      expect(types(effects)).toContain('give_up')
    }
  })

  test('[C6] a refused token asks for another one at once, a second refusal waits', () => {
    const once = run([connect, failed('unauthenticated')])
    expect(once.state).toMatchObject({ phase: 'opening', challenged: true })
    expect(once.effects.at(-1)).toMatchObject({ type: 'open', challenged: true })
    const twice = run([connect, failed('unauthenticated'), failed('unauthenticated')])
    expect(twice.state).toMatchObject({ phase: 'waiting', challenged: true })
  })

  test('[C6] the same token again is final, with the code of the refusal', () => {
    const { state, effects } = run([
      connect,
      failed('unauthenticated'),
      ({ generation }) => ({
        type: 'unchanged_token',
        generation,
        error: new RealtimeError('unauthenticated', 'no'),
      }),
    ])
    expect(state).toMatchObject({ status: 'disconnected', cause: { code: 'unauthenticated' } })
    expect(types(effects)).toEqual(['drop', 'announce', 'give_up'])
  })

  test('[C6] tokens that never last do not make a storm', () => {
    // Admitted, and told at once that the token has expired, again and again.
    const inputs = [connect, admitted, failed('token_expired'), admitted, failed('token_expired')]
    expect(run(inputs.slice(0, 3)).state).toMatchObject({ phase: 'opening' })
    expect(run(inputs).state).toMatchObject({ phase: 'waiting' })
  })

  test('[C6] a new token goes on after a refused one, and replaces a live connection', () => {
    const refused = [
      connect,
      failed('unauthenticated'),
      ({ generation }: ConnectionState): ConnectionInput => ({
        type: 'unchanged_token',
        generation,
        error: new RealtimeError('unauthenticated', 'no'),
      }),
    ]
    expect(run([...refused, { type: 'new_token' }]).state).toMatchObject({
      status: 'connecting',
      challenged: false,
    })
    const live = run([connect, admitted, { type: 'new_token' }])
    expect(types(live.effects)).toEqual(['drop', 'stop', 'announce', 'open'])
    expect(run([connect, admitted, { type: 'disconnect' }, { type: 'new_token' }]).effects).toEqual(
      [],
    )
  })
})

describe('trying again', () => {
  test('[C1] gives up where reconnection is off, with the number of attempts', () => {
    const off = { reconnect: { ...env.reconnect, enabled: false } }
    expect(run([connect, failed('not_connected')], off).state).toMatchObject({
      status: 'disconnected',
      cause: { code: 'not_connected', details: { attempts: 0 }, cause: { code: 'not_connected' } },
    })
  })

  test('[C1] gives up when the attempts are used up', () => {
    const two = { reconnect: { ...env.reconnect, maxAttempts: 2 } }
    const fail = failed('not_connected')
    expect(run([connect, fail, due, fail], two).state.status).toBe('connecting')
    expect(run([connect, fail, due, fail, due, fail], two).state).toMatchObject({
      status: 'disconnected',
      cause: { details: { attempts: 2 } },
    })
  })

  test('[C3] delays double with each failure and relax while connected', () => {
    const fail = failed('not_connected')
    const waits = [0, 1, 2].map((more) => {
      const inputs = [connect, fail, ...Array.from({ length: more }, () => [due, fail]).flat()]
      return run(inputs).effects.find(({ type }) => type === 'wait')
    })
    expect(waits).toMatchObject([{ ms: 500 }, { ms: 1_000 }, { ms: 2_000 }])
    const flapping = [connect, fail, due, fail, due, fail, due, admitted]
    let { state } = run(flapping)
    const lost = (now: number): unknown =>
      step(state, failed('not_connected')(state), { ...env, now }).effects.find(
        ({ type }) => type === 'wait',
      )
    expect(lost(9_999)).toMatchObject({ ms: 4_000 })
    expect(lost(10_000)).toMatchObject({ ms: 1_000 })
    state = run([connect, admitted]).state
    expect(lost(0)).toMatchObject({ ms: 500 })
  })

  test('[C3] a time that the server named counts', () => {
    const { effects } = run([connect, failed('too_many_connections', { retryAfterMs: 20_000 })])
    expect(effects.at(-1)).toMatchObject({ type: 'wait', ms: 25_000 })
  })

  test('[C4] a wake-up tries at once while waiting, and checks a live link', () => {
    expect(run([connect, failed('not_connected'), { type: 'wake' }]).state).toMatchObject({
      phase: 'opening',
    })
    expect(run([connect, admitted, { type: 'wake' }]).effects).toEqual([{ type: 'check' }])
    expect(run([connect, { type: 'wake' }]).effects).toEqual([])
    expect(run([{ type: 'wake' }]).effects).toEqual([])
  })
})

const anyCode = fc.constantFrom<ErrorCode>(
  'not_connected',
  'unauthenticated',
  'token_expired',
  'kicked',
  'server_closing',
)
const anyInput = fc.oneof(
  fc.constantFrom<ConnectionInput>(
    { type: 'connect' },
    { type: 'disconnect' },
    { type: 'wake' },
    { type: 'new_token' },
    { type: 'close' },
  ),
  fc.record({ kind: fc.constantFrom('admitted', 'due'), late: fc.nat(2) }),
  fc.record({
    kind: fc.constantFrom('failed', 'unchanged_token'),
    late: fc.nat(2),
    code: anyCode,
  }),
)

/** What is wrong with one step, in words; empty where nothing is. */
function faults(
  before: ConnectionState,
  { next, effects }: Transition,
  world: { links: number; started: boolean; late: boolean },
): string[] {
  const found: string[] = []
  if (world.late && (next !== before || effects.length > 0))
    found.push('a late event did something')
  if (before.status === 'closed' && next !== before) found.push('closed came back')
  if (next.generation < before.generation) found.push('the generation went back')
  for (const effect of effects) {
    if (effect.type === 'drop') world.links = 0
    if (effect.type === 'open') world.links += 1
    if (effect.type === 'open' && effect.generation !== next.generation) found.push('stale link')
    if (effect.type === 'start') world.started = true
    if (effect.type === 'stop' && !world.started) found.push('stopped what had not started')
    if (effect.type === 'stop') world.started = false
    if (world.links > 1) found.push('two links')
  }
  if (world.started !== (next.status === 'connected')) found.push('started and connected differ')
  const resting = !('phase' in next) && next.status !== 'connected'
  if (resting && world.links > 0) found.push('a link is left behind')
  return found
}

test('[C1][C5] whatever happens: one link at a time, old generations change nothing, closed is the end', () => {
  fc.assert(
    fc.property(fc.array(anyInput, { maxLength: 60 }), (inputs) => {
      let state = IDLE as ConnectionState
      const world = { links: 0, started: false, late: false }
      return inputs.every((made) => {
        const late = 'late' in made ? made.late : 0
        world.late = late > 0
        const error = 'code' in made && { error: new RealtimeError(made.code, made.code) }
        const input = (
          'kind' in made ? { type: made.kind, generation: state.generation - late, ...error } : made
        ) as ConnectionInput
        const transition = step(state, input, env)
        const found = faults(state, transition, world)
        state = transition.next
        return found.length === 0
      })
    }),
    { numRuns: 1_000 },
  )
})
