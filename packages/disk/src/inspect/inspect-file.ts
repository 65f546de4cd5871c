import { FreeList } from './free-list.js'
import { headerOf, type Snapshot, type TreeFacts } from './format.js'
import { PageFile } from './page-file.js'
import { readSnapshots, type Snapshots } from './snapshots.js'
import { walkTree, type PageMarks } from './tree.js'

/** `problem` is for the log: what was found first. */
export type Inspection =
  { readonly sound: true } | { readonly sound: false; readonly problem: string }

export interface InspectOptions {
  /** How the library is going to open it: `overlappingSync` may go back to an older state. */
  readonly overlapping: boolean
  /** The head pages only, and the roots; the default is every page. */
  readonly headsOnly?: boolean
}

/** Ends a walk with the first thing that does not fit. */
class Unsound extends Error {}

/**
 * Whether the library can open a file and go through all of it without being led astray: it has no
 * checksums and follows whatever a page says. Values are not looked at; they have checksums of ours.
 * Reads the pages of the trees once, plainly; holds a few bytes for each page.
 */
export function inspectFile(path: string, options: InspectOptions): Inspection {
  const file = new PageFile(path)
  try {
    const snapshots = readSnapshots(file, options)
    const { picked, problem } = snapshots
    if (picked === null) return { sound: false, problem: problem ?? 'it has no head page' }
    const wrong = headsProblem(file, snapshots)
    if (wrong !== null) return { sound: false, problem: wrong }
    if (options.headsOnly !== true) inspectSnapshot(file, picked)
    return { sound: true }
  } catch (error) {
    if (error instanceof Unsound) return { sound: false, problem: error.message }
    throw error
  } finally {
    file.close()
  }
}

function inspectSnapshot(file: PageFile, snapshot: Snapshot): void {
  const problem = (text: string): never => {
    throw new Unsound(text)
  }
  const marks = marksFor(file, snapshot)
  if (marks === null)
    return problem(`it has ${file.sizeBytes} bytes for ${snapshot.lastPage} pages`)
  walkTree({ file, snapshot, kind: 'main', marks, problem })
  const free = new FreeList(file, snapshot)
  walkTree({
    file,
    snapshot,
    kind: 'free',
    marks,
    problem,
    leaf: (page, _number, nodes) => {
      const wrong = free.read(page, nodes)
      if (wrong !== null) problem(wrong)
    },
  })
  const wrong = free.mark(marks)
  if (wrong !== null) problem(wrong)
}

/**
 * Whether the picked state is the newest one: a transaction writes one of the roots anew, and a number
 * that flipped can make a head page look newer, or older, than its roots are.
 */
export function headsProblem(file: PageFile, { picked, heads }: Snapshots): string | null {
  if (picked === null) return null
  const { transaction } = picked
  if (rootTransaction(file, picked) !== transaction) {
    return 'the head page is not of the newest roots'
  }
  const hidden = heads.some(
    (head) => head.transaction < transaction && rootTransaction(file, head) === transaction + 1,
  )
  return hidden ? 'a head page is older than its roots' : null
}

/** The file may end before its last pages where these are free and were never written. */
const MOST_UNWRITTEN_PAGES = 65_536

/** Null where the file is far too short for what the head page says. */
export function marksFor(file: PageFile, { lastPage, pageBytes }: Snapshot): PageMarks | null {
  const pages = Math.ceil(file.sizeBytes / pageBytes)
  return lastPage >= 1 && lastPage < pages + MOST_UNWRITTEN_PAGES
    ? new Uint8Array(lastPage + 1)
    : null
}

/**
 * The newer one of both roots. A transaction that writes anything writes one of them anew, so it is the
 * head page's own transaction; another one tells that the head page is damaged.
 */
function rootTransaction(file: PageFile, snapshot: Snapshot): number {
  return Math.max(
    transactionOf(file, snapshot, snapshot.main),
    transactionOf(file, snapshot, snapshot.free),
  )
}

function transactionOf(file: PageFile, { pageBytes }: Snapshot, { root }: TreeFacts): number {
  if (root === null) return 0
  const page = file.singlePage(root, pageBytes)
  return page === null ? 0 : headerOf(page).transaction
}
