import {
  closeSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname } from 'node:path'

/**
 * Notes beside the store how it was left by a clean end. Where that is what is found at the next
 * start, nothing has to be looked through. The caller has the directory for itself.
 */
export class CleanMark {
  readonly #file: string
  readonly #path: string

  constructor(path: string, file: string) {
    this.#path = path
    this.#file = file
  }

  /** Whether the store is what a clean end left. */
  matches(): boolean {
    try {
      return readFileSync(this.#path, 'utf8') === markOf(this.#file)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
      throw error
    }
  }

  /** What tells the store's file from a copy of it, also where that has got its inode. */
  fileIdentity(): string {
    const { ino, birthtimeNs } = statSync(this.#file, { bigint: true })
    return `${ino}-${birthtimeNs}`
  }

  /** Before the first write: from here on an end is unclean. */
  remove(): void {
    rmSync(this.#path, { force: true })
    syncDirectory(dirname(this.#path))
  }

  /** When the store is closed and on the disk. */
  write(): void {
    const draft = `${this.#path}.new`
    const descriptor = openSync(draft, 'w')
    try {
      writeFileSync(descriptor, markOf(this.#file))
      fsyncSync(descriptor)
    } finally {
      closeSync(descriptor)
    }
    renameSync(draft, this.#path)
    syncDirectory(dirname(this.#path))
  }
}

function markOf(file: string): string {
  const { size, mtimeNs } = statSync(file, { bigint: true })
  return JSON.stringify({ size: String(size), mtimeNs: String(mtimeNs) })
}

/** What was made, renamed or removed in a directory is so after power loss, too. */
export function syncDirectory(path: string): void {
  const descriptor = openSync(path, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}
