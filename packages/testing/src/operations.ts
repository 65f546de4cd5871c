import { seededRandom } from '@bmt-central/realtime-protocol/testing'

/** What people, applications and machines do; faults of the wire happen by themselves. */
export type Operation =
  | {
      readonly kind: 'publish'
      readonly client: number
      readonly topic: number
      readonly count: number
    }
  | { readonly kind: 'announce'; readonly topic: number; readonly count: number }
  | {
      readonly kind: 'join'
      readonly client: number
      readonly topic: number
      readonly rewind: number
    }
  | { readonly kind: 'leave' | 'abort'; readonly client: number; readonly index: number }
  | { readonly kind: 'cut' | 'swallow' | 'connect' | 'disconnect'; readonly client: number }
  | { readonly kind: 'sleep' | 'jump'; readonly client: number; readonly ms: number }
  /** The machine falls asleep while a publish is on its way: `afterMs` after the call. */
  | {
      readonly kind: 'lid'
      readonly client: number
      readonly topic: number
      readonly afterMs: number
      readonly ms: number
    }
  /** The server's clock is set forwards. */
  | { readonly kind: 'leap'; readonly ms: number }
  | { readonly kind: 'advance'; readonly ms: number }
  | { readonly kind: 'crash'; readonly ms: number }
  | { readonly kind: 'replace' }

/** Less than tokens live. */
const MOST_LEAP_MS = 300_000
const SLEEPS_MS = [2_000, 40_000, 100_000, 280_000, 400_000]
const JUMPS_MS = [1_000, 20_000, 60_000, 200_000, 400_000]

/** The same seed gives the same list. */
export function makeOperations(
  seed: number,
  { count, clients, topics }: { count: number; clients: number; topics: number },
): Operation[] {
  const random = seededRandom(seed)
  const below = (end: number): number => Math.floor(random() * end)
  const draw = (): Operation => {
    const client = below(clients)
    const topic = below(topics)
    const chance = random()
    if (chance < 0.3) return { kind: 'publish', client, topic, count: 1 + below(10) }
    if (chance < 0.37) return { kind: 'announce', topic, count: 1 + below(12) }
    if (chance < 0.41) return { kind: 'join', client, topic, rewind: below(8) }
    if (chance < 0.43) return { kind: 'leave', client, index: below(4) }
    if (chance < 0.45) return { kind: 'abort', client, index: below(20) }
    if (chance < 0.49) return { kind: 'cut', client }
    if (chance < 0.5) return { kind: 'swallow', client }
    if (chance < 0.53) return { kind: 'disconnect', client }
    if (chance < 0.57) return { kind: 'connect', client }
    if (chance < 0.585) return { kind: 'sleep', client, ms: SLEEPS_MS[below(5)] ?? 0 }
    if (chance < 0.6) {
      return { kind: 'lid', client, topic, afterMs: 1 + below(300), ms: 250_000 + below(180_000) }
    }
    if (chance < 0.615) return { kind: 'jump', client, ms: JUMPS_MS[below(5)] ?? 0 }
    if (chance < 0.62) return { kind: 'leap', ms: 1 + below(MOST_LEAP_MS) }
    if (chance < 0.63) return { kind: 'crash', ms: below(5_000) }
    if (chance < 0.64) return { kind: 'replace' }
    return { kind: 'advance', ms: below(random() < 0.9 ? 2_000 : 40_000) }
  }
  return Array.from({ length: count }, draw)
}

/**
 * A short list that still fails: leaves out ever smaller parts, as long as tries are left.
 */
export async function shrink(
  operations: readonly Operation[],
  fails: (candidate: readonly Operation[]) => Promise<boolean>,
  tries: number = 150,
): Promise<readonly Operation[]> {
  let best = operations
  let left = tries
  for (let part = best.length >> 1; part >= 1; part >>= 1) {
    for (let from = 0; from < best.length && left > 0; left -= 1) {
      const candidate = [...best.slice(0, from), ...best.slice(from + part)]
      if (await fails(candidate)) best = candidate
      else from += part
    }
  }
  return best
}
