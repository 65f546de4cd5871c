import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { RealtimeError, type Logger } from '@bmt-central/realtime-protocol'
import { CleanMark, syncDirectory } from './clean-mark.js'
import { inspectFile } from './inspect/inspect-file.js'
import { META } from './keys.js'
import { refuseOtherFormat } from './opened.js'
import { finishReplacing, growingCopy, replaceStore } from './salvage/replace-store.js'
import { salvageFile } from './salvage/salvage-file.js'
import type { MetaRecord } from './state-records.js'
import { Store } from './store.js'

const FILE = 'store.lmdb'
const MARK = 'clean.json'

/** The opened store of a directory, and what its file told before. */
export interface OpenedDirectory {
  readonly store: Store
  readonly mark: CleanMark
  /** The end before was not clean: streams have to be looked through. */
  readonly unclean: boolean
}

export interface DirectoryParts {
  readonly fsync: 'always' | 'interval'
  readonly logger: Logger
  /** Of the name under which a damaged file is kept. */
  readonly suffix: string
  readonly newEpoch: () => string
}

/**
 * Opens the store of a directory that the caller holds. After an unclean end its pages are looked
 * through before the library maps them: it would follow whatever they say. A damaged file is set
 * aside under another name, never deleted, and what it holds undamaged goes into a new one.
 * @throws RealtimeError `invalid_options` where another version wrote the store · `broker_unavailable`
 *   where there is no room for what a damaged file holds
 */
export async function openDirectory(path: string, parts: DirectoryParts): Promise<OpenedDirectory> {
  const file = join(path, FILE)
  const mark = new CleanMark(join(path, MARK), file)
  const { fsync } = parts
  finishReplacing(file)
  if (!existsSync(file)) {
    const store = Store.open(file, { fsync })
    syncDirectory(path)
    return { store, mark, unclean: false }
  }
  const unclean = !mark.matches()
  // Where the next step should end the process, the next start looks at every page.
  mark.remove()
  const inspection = inspectFile(file, {
    overlapping: fsync === 'interval',
    headsOnly: !unclean,
  })
  const problem = inspection.sound ? null : inspection.problem
  let opened = problem === null ? tryOpen(file, fsync) : new Error(problem)
  if (!(opened instanceof Store)) {
    await salvage(file, { ...parts, problem: opened.message })
    opened = Store.open(file, { fsync })
  }
  try {
    const meta = opened.json<MetaRecord>(META)
    if (meta) refuseOtherFormat(meta.format)
  } catch (error) {
    void opened.close()
    throw error
  }
  return { store: opened, mark, unclean }
}

/** The store, or why its file is none. @throws where the file may be well, and something else is not */
function tryOpen(file: string, fsync: 'always' | 'interval'): Store | Error {
  try {
    return Store.open(file, { fsync })
  } catch (error) {
    const { code } = error as { code?: unknown }
    const outside =
      typeof code === 'string' && /^E(ACCES|PERM|ROFS|NOSPC|MFILE|NOMEM|IO)$/.test(code)
    if (outside || !(error instanceof Error)) throw error
    return error
  }
}

async function salvage(
  file: string,
  parts: DirectoryParts & { readonly problem: string },
): Promise<void> {
  const { fsync, logger, newEpoch, problem } = parts
  const kept = unusedName(`${file}.damaged-${parts.suffix}`)
  const copy = growingCopy(file)
  try {
    const counts = await salvageFile(file, copy, { overlapping: fsync === 'interval', newEpoch })
    replaceStore(file, kept)
    logger.error('the store was damaged: what it holds undamaged was copied into a new one', {
      file,
      kept,
      problem,
      ...counts,
      todo: 'check the disk; the old file is kept, delete it once nothing in it is needed',
    })
  } catch (error) {
    finishReplacing(file)
    if (error instanceof RealtimeError) throw error
    const what =
      `${file} is damaged (${problem}), and what it holds undamaged could not be copied beside it: ` +
      'nothing was changed; make room on the disk for as much as the file takes, and start again'
    throw new RealtimeError('broker_unavailable', what, { cause: error })
  }
}

function unusedName(name: string): string {
  let unused = name
  for (let count = 2; existsSync(unused); count += 1) unused = `${name}-${count}`
  return unused
}
