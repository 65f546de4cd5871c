import { readFileSync } from 'node:fs'
import {
  pickSafe,
  snapshotOf,
  syncedSnapshotOf,
  treeFlagsProblem,
  type Snapshot,
} from './format.js'
import type { PageFile } from './page-file.js'

export interface Snapshots {
  /** What the library would open, where its head pages can be trusted. */
  readonly picked: Snapshot | null
  /** What both head pages say. */
  readonly heads: readonly Snapshot[]
  /** Why they cannot be. */
  readonly problem: string | null
  /** Null where no head page tells. */
  readonly pageBytes: number | null
}

const LARGEST_HEAD_BYTES = 2 * 65_536

/** What the head pages say, and whether they agree: they have no checksum either. */
export function readSnapshots(
  file: PageFile,
  { overlapping, boot = machineBoot() }: { overlapping: boolean; boot?: bigint },
): Snapshots {
  const head = file.read(0, LARGEST_HEAD_BYTES)
  const first = snapshotOf(head, 0)
  if (typeof first === 'string') return { picked: null, heads: [], problem: first, pageBytes: null }
  const { pageBytes } = first
  const bad = (problem: string): Snapshots => ({ picked: null, heads: [], problem, pageBytes })
  const second = snapshotOf(head.subarray(pageBytes), 1)
  if (typeof second === 'string') return bad(second)
  if (second.pageBytes !== pageBytes) return bad('the head pages differ in the size of a page')
  const fresh = first.transaction === 0 && second.transaction === 0
  if (!fresh && Math.abs(first.transaction - second.transaction) !== 1) {
    return bad('the head pages are not of two successive transactions')
  }
  // Transaction N writes head page N mod 2.
  if (first.transaction % 2 !== 0) return bad('a head page has the other one’s transaction')
  let picked = first.transaction >= second.transaction ? first : second
  if (overlapping) {
    picked = pickSafe(first, second, boot)
    const synced = syncedSnapshotOf(head, pageBytes)
    if (synced !== null) picked = pickSafe(picked, synced, boot)
    if (picked.pageBytes !== pageBytes) return bad('the synced head has another size of a page')
  }
  const flags = treeFlagsProblem(picked)
  const heads = [first, second]
  return flags === null ? { picked, heads, problem: null, pageBytes } : bad(flags)
}

/** What the library takes from the machine's boot id: `strtoll(…, 16)`, so its first group (`mdb_env_open`). */
function machineBoot(): bigint {
  try {
    const text = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1')
    return BigInt(`0x${text.slice(0, text.indexOf('-'))}`)
  } catch {
    return 0n
  }
}
