import { endOf, KIND, keyOf, seqOf } from './keys.js'
import { factsOf, heldBytesOf } from './publication-record.js'
import type { StreamFacts } from './disk-stream.js'
import { put, remove, type Change, type Store } from './store.js'

/** What is left of a stream that lost something. */
export interface Repaired {
  readonly number: number
  readonly facts: StreamFacts
  readonly changes: Change[]
  /** Records that were there and are damaged. */
  readonly damaged: number
}

/** Whether every publication between `oldest` and `head` is there, undamaged, and none besides. */
export function isWhole(
  store: Store,
  number: number,
  { oldest, head }: Pick<StreamFacts, 'oldest' | 'head'>,
): boolean {
  let seq = oldest
  const range = store.range(
    keyOf(KIND.publication, number, oldest),
    endOf(KIND.publication, number),
  )
  for (const { key, body } of range) {
    if (body === null || seqOf(key) !== seq) return false
    seq += 1
  }
  return seq === head + 1
}

/**
 * The undamaged publications of a stream, numbered from 1 in a new epoch under a number of its own:
 * nothing undamaged is lost, and no position means two messages [P3].
 */
export function repairStream(
  store: Store,
  from: { readonly number: number; readonly policy: StreamFacts['policy'] },
  into: { readonly number: number; readonly epoch: string },
): Repaired {
  const changes: Change[] = []
  let [seq, bytes, held, damaged] = [0, 0, 0, 0]
  const range = store.range(
    keyOf(KIND.publication, from.number),
    endOf(KIND.publication, from.number),
  )
  for (const { key, body } of range) {
    changes.push(remove(key))
    if (body === null) {
      damaged += 1
      continue
    }
    seq += 1
    bytes += factsOf(body).payloadBytes
    held += heldBytesOf(body.length)
    changes.push(put(keyOf(KIND.publication, into.number, seq), body))
  }
  const facts = { epoch: into.epoch, head: seq, oldest: 1, bytes, held, policy: from.policy }
  return { number: into.number, facts, changes, damaged }
}
