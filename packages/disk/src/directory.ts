import { existsSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Logger } from '@bmt-central/realtime-protocol'
import { CleanMark, syncDirectory } from './clean-mark.js'
import { problemOf } from './head-pages.js'
import { META } from './keys.js'
import { refuseOtherFormat } from './opened.js'
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

/**
 * Opens the store of a directory that the caller holds. A file that cannot be one is set aside under
 * another name, never deleted. Writes nothing into a store that is there.
 * @throws RealtimeError `invalid_options` where another version wrote the store
 */
export function openDirectory(
  path: string,
  parts: {
    readonly fsync: 'always' | 'interval'
    readonly logger: Logger
    readonly suffix: string
  },
): OpenedDirectory {
  const file = join(path, FILE)
  const mark = new CleanMark(join(path, MARK), file)
  const { fsync } = parts
  if (!existsSync(file)) {
    const store = Store.open(file, { fsync })
    syncDirectory(path)
    return { store, mark, unclean: false }
  }
  const unclean = !mark.matches()
  const problem = unclean ? problemOf(file) : null
  const opened = problem === null ? tryOpen(file, fsync) : new Error(problem)
  if (opened instanceof Store) {
    try {
      const meta = opened.json<MetaRecord>(META)
      if (meta) refuseOtherFormat(meta.format)
    } catch (error) {
      void opened.close()
      throw error
    }
    return { store: opened, mark, unclean }
  }
  setAside(file, { ...parts, problem: opened.message })
  const store = Store.open(file, { fsync })
  syncDirectory(path)
  return { store, mark, unclean: false }
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

function setAside(
  file: string,
  facts: { readonly problem: string; readonly logger: Logger; readonly suffix: string },
): void {
  const kept = `${file}.damaged-${facts.suffix}`
  renameSync(file, kept)
  rmSync(`${file}-lock`, { force: true })
  facts.logger.error('the store cannot be opened and was set aside', {
    file,
    kept,
    problem: facts.problem,
    todo: 'check the disk; the old file is kept, delete it once nothing in it is needed',
  })
}
