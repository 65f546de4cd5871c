import { FreeList } from '../inspect/free-list.js'
import { headsProblem, marksFor } from '../inspect/inspect-file.js'
import type { PageFile } from '../inspect/page-file.js'
import { readSnapshots } from '../inspect/snapshots.js'
import { MARK, walkTree, type PageMarks } from '../inspect/tree.js'
import type { Snapshot } from '../inspect/format.js'

/**
 * What a page's records are worth. `current`: certainly those of the last transaction. `unknown`:
 * they may be. `stale`: they were once; the page is free by now.
 */
export const RANK = { none: 0, stale: 1, unknown: 2, current: 3 } as const
export type Rank = (typeof RANK)[keyof typeof RANK]

/**
 * The rank of every page. That a leaf page is current takes: both head pages are as they should be,
 * all pages on the way to it, too, and the whole list of free pages, in which none of them is: so a
 * number that flipped to an earlier version of a page is noticed. Else every page may be current.
 */
export function rankPages(
  file: PageFile,
  { pageBytes, overlapping }: { readonly pageBytes: number; readonly overlapping: boolean },
): Uint8Array {
  const ranks = new Uint8Array(Math.ceil(file.sizeBytes / pageBytes)).fill(RANK.unknown)
  const snapshots = readSnapshots(file, { overlapping })
  const { picked } = snapshots
  if (picked === null || picked.pageBytes !== pageBytes) return ranks
  if (headsProblem(file, snapshots) !== null) return ranks
  const walked = walk(file, picked)
  if (walked === null) return ranks
  const { marks, leaves } = walked
  for (let number = 0; number < ranks.length; number += 1) {
    const mark = number < marks.length ? marks[number] : MARK.free
    if (mark === MARK.free) ranks[number] = RANK.stale
  }
  for (const number of leaves) ranks[number] = RANK.current
  return ranks
}

/** Null where the list of free pages is not whole, or does not fit the tree of records. */
function walk(file: PageFile, snapshot: Snapshot): { marks: PageMarks; leaves: number[] } | null {
  const marks = marksFor(file, snapshot)
  if (marks === null) return null
  const leaves: number[] = []
  const shared = { file, snapshot, marks }
  const leaf = (_page: Buffer, number: number): void => void leaves.push(number)
  walkTree({ ...shared, kind: 'main', problem: () => undefined, leaf })
  let whole = true
  const problem = (): void => {
    whole = false
  }
  const free = new FreeList(file, snapshot)
  walkTree({
    ...shared,
    kind: 'free',
    problem,
    leaf: (page, _number, nodes) => {
      if (free.read(page, nodes) !== null) problem()
    },
  })
  return whole && free.mark(marks) === null ? { marks, leaves } : null
}
