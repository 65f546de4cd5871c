import { RealtimeError } from '@bmt-central/realtime-protocol'
import { backoffMs, relaxedExponent, type BackoffOptions } from './backoff.js'

/** Trying to get a connection: the first since `connect()`, or one in place of one that was lost. */
interface Trying {
  readonly status: 'connecting' | 'reconnecting'
  readonly phase: 'opening' | 'waiting'
  readonly generation: number
  /** Attempts that failed since `connect()`, or since the connection was lost. */
  readonly attempt: number
  /** The n of [C3]. */
  readonly exponent: number
  /** The last token was refused: the same one again makes it final [C6]. */
  readonly challenged: boolean
  /** Why the last attempt failed or the connection ended. */
  readonly cause: RealtimeError | null
  /** ms that it waits; 0 while opening. */
  readonly waitMs: number
}

interface Connected {
  readonly status: 'connected'
  readonly generation: number
  readonly exponent: number
  /** Monotonic. */
  readonly connectedAt: number
}

interface Resting {
  readonly status: 'idle' | 'disconnected' | 'closed'
  readonly generation: number
  /** Null where it was asked for. */
  readonly cause: RealtimeError | null
}

/** The life of a client's connection [C1]. Each link belongs to one generation. */
export type ConnectionState = Trying | Connected | Resting

export type ConnectionInput =
  | { readonly type: 'connect' }
  | { readonly type: 'disconnect' }
  | { readonly type: 'close' }
  /** The server's `connected` has arrived. */
  | { readonly type: 'admitted'; readonly generation: number }
  /** The attempt failed, or the link ended. */
  | { readonly type: 'failed'; readonly generation: number; readonly error: RealtimeError }
  /** `auth()` gave the token again that was just refused. */
  | { readonly type: 'unchanged_token'; readonly generation: number; readonly error: RealtimeError }
  /** The wait is over. */
  | { readonly type: 'due'; readonly generation: number }
  /** The network or the machine is back, or just gone [C4]. */
  | { readonly type: 'wake' }
  /** There is another token. */
  | { readonly type: 'new_token' }

/** What is to be done, in this order. */
export type Effect =
  /** End the link of the generation before, and whatever waits for it. */
  | { readonly type: 'drop' }
  | { readonly type: 'open'; readonly generation: number; readonly challenged: boolean }
  | { readonly type: 'wait'; readonly generation: number; readonly ms: number }
  /** Tell everybody about the new state. */
  | { readonly type: 'announce' }
  /** The link may be used. */
  | { readonly type: 'start' }
  /** The link that was used is gone. */
  | { readonly type: 'stop' }
  /** Find out whether the link is alive. */
  | { readonly type: 'check' }
  /** Nothing will be tried any more: the server's refusal is final. */
  | { readonly type: 'give_up'; readonly error: RealtimeError }

export interface Transition {
  readonly next: ConnectionState
  readonly effects: readonly Effect[]
}

export interface ReconnectOptions extends BackoffOptions {
  readonly enabled: boolean
  /** -1: for ever. */
  readonly maxAttempts: number
}

export interface StepEnv {
  /** Monotonic ms. */
  readonly now: number
  /** Of [0, 1). */
  readonly random: number
  readonly reconnect: ReconnectOptions
}

/** 2 ** 30 times any base is beyond any cap. */
const MAX_EXPONENT = 30

/**
 * The whole life cycle: pure. Events of another generation than the present one change nothing:
 * they come from a link that was given up [C5].
 */
export function step(state: ConnectionState, input: ConnectionInput, env: StepEnv): Transition {
  if ('generation' in input && input.generation !== state.generation) return stay(state)
  switch (input.type) {
    case 'connect':
      if (state.status === 'idle' || state.status === 'disconnected')
        return open(fresh(state), state)
      return isWaiting(state) ? open(state) : stay(state)
    case 'disconnect':
      return isTrying(state) || state.status === 'connected'
        ? rest(state, 'disconnected', null)
        : stay(state)
    case 'close':
      return state.status === 'closed' ? stay(state) : rest(state, 'closed', null)
    case 'admitted':
      return isTrying(state) && state.phase === 'opening' ? admit(state, env) : stay(state)
    case 'failed':
      return fail(state, input.error, env)
    case 'unchanged_token':
      return isTrying(state) ? giveUp(state, input.error) : stay(state)
    case 'due':
      return isWaiting(state) ? open(state) : stay(state)
    case 'wake':
      if (state.status === 'connected') return { next: state, effects: [{ type: 'check' }] }
      return isWaiting(state) ? open(state) : stay(state)
    case 'new_token':
      return renew(state, env)
  }
}

function stay(state: ConnectionState): Transition {
  return { next: state, effects: [] }
}

function isTrying(state: ConnectionState): state is Trying {
  return state.status === 'connecting' || state.status === 'reconnecting'
}

function isWaiting(state: ConnectionState): state is Trying {
  return isTrying(state) && state.phase === 'waiting'
}

function isTokenRefusal(error: RealtimeError): boolean {
  return error.code === 'unauthenticated' || error.code === 'token_expired'
}

function fresh(state: ConnectionState): Trying {
  return {
    status: 'connecting',
    phase: 'waiting',
    generation: state.generation,
    attempt: 0,
    exponent: 0,
    challenged: false,
    cause: null,
    waitMs: 0,
  }
}

/** As after the loss of a connection. */
function lost(state: Connected, cause: RealtimeError | null, env: StepEnv): Trying {
  return {
    ...fresh(state),
    status: 'reconnecting',
    exponent: relaxedExponent(state.exponent, env.now - state.connectedAt),
    cause,
  }
}

/** What has to be given back on the way out of a state. */
function leaving(state: ConnectionState): Effect[] {
  if (state.status === 'connected') return [{ type: 'drop' }, { type: 'stop' }]
  return isTrying(state) ? [{ type: 'drop' }] : []
}

function open(state: Trying, before: ConnectionState = state): Transition {
  const generation = state.generation + 1
  return {
    next: { ...state, phase: 'opening', generation, waitMs: 0 },
    effects: [
      ...leaving(before),
      { type: 'announce' },
      { type: 'open', generation, challenged: state.challenged },
    ],
  }
}

function rest(
  state: ConnectionState,
  status: 'disconnected' | 'closed',
  cause: RealtimeError | null,
): Transition {
  return {
    next: { status, generation: state.generation + 1, cause },
    effects: [...leaving(state), { type: 'announce' }],
  }
}

function giveUp(state: ConnectionState, error: RealtimeError): Transition {
  const { next, effects } = rest(state, 'disconnected', error)
  return { next, effects: [...effects, { type: 'give_up', error }] }
}

function admit(state: Trying, env: StepEnv): Transition {
  const { generation, exponent } = state
  return {
    next: { status: 'connected', generation, exponent, connectedAt: env.now },
    effects: [{ type: 'announce' }, { type: 'start' }],
  }
}

function fail(state: ConnectionState, error: RealtimeError, env: StepEnv): Transition {
  if (state.status !== 'connected' && !(isTrying(state) && state.phase === 'opening')) {
    return stay(state)
  }
  const connected = state.status === 'connected'
  const trying = connected ? lost(state, error, env) : { ...state, cause: error }
  if (isTokenRefusal(error)) {
    // Another token may be at hand at once. A second refusal waits like any other failure, and so
    // does a connection that did not last: its tokens may all be stale.
    const again = trying.challenged || (connected && trying.exponent > 0)
    const challenged: Trying = { ...trying, challenged: true }
    if (again) return retry(challenged, { before: state, env })
    return open({ ...challenged, exponent: trying.exponent + 1 }, state)
  }
  return error.retryable ? retry(trying, { before: state, env }) : giveUp(state, error)
}

function retry(
  trying: Trying,
  { before, env }: { before: ConnectionState; env: StepEnv },
): Transition {
  const { enabled, maxAttempts } = env.reconnect
  const { attempt, cause } = trying
  if (!enabled || (maxAttempts >= 0 && attempt >= maxAttempts)) {
    const error = new RealtimeError(
      'not_connected',
      `gave up after ${attempt} reconnection attempts`,
      {
        details: { attempts: attempt },
        cause,
      },
    )
    return rest(before, 'disconnected', error)
  }
  const generation = trying.generation + 1
  const waitMs = backoffMs(trying.exponent, env.random, {
    ...env.reconnect,
    retryAfterMs: cause?.retryAfterMs,
  })
  const exponent = Math.min(trying.exponent + 1, MAX_EXPONENT)
  return {
    next: { ...trying, phase: 'waiting', generation, attempt: attempt + 1, exponent, waitMs },
    effects: [...leaving(before), { type: 'announce' }, { type: 'wait', generation, ms: waitMs }],
  }
}

/** Whoever has a new token wants it used now: also after a refusal, also on a live connection. */
function renew(state: ConnectionState, env: StepEnv): Transition {
  if (isTrying(state)) return open({ ...state, challenged: false })
  if (state.status === 'connected') return open(lost(state, null, env), state)
  const refused = state.status === 'disconnected' && state.cause !== null
  return refused && isTokenRefusal(state.cause) ? open(fresh(state), state) : stay(state)
}
