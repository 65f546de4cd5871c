import { open, type RootDatabase } from 'lmdb'
import { endOf, keyOf, type Kind } from './keys.js'
import { seal, unseal } from './record.js'

/** One change: the body of a record, or null to remove it. Later ones of a key win. */
export interface Change {
  readonly key: Buffer
  readonly body: Buffer | null
}

export interface StoredRecord {
  readonly key: Buffer
  /** Null where the record is damaged. */
  readonly body: Buffer | null
}

export const put = (key: Buffer, body: Buffer): Change => ({ key, body })
export const putJson = (key: Buffer, value: unknown): Change =>
  put(key, Buffer.from(JSON.stringify(value)))
export const remove = (key: Buffer): Change => ({ key, body: null })

/** Sealed records under keys, in one file; every write is one transaction. Knows nothing of streams. */
export class Store {
  readonly #database: RootDatabase<Buffer, Buffer>

  private constructor(database: RootDatabase<Buffer, Buffer>) {
    this.#database = database
  }

  /**
   * With `fsync: 'always'` a commit is what it is by the book: pages, fdatasync, then the head page
   * through a descriptor that syncs by itself; the promise of a write resolves after that and
   * rejects where any of it fails. With `'interval'` the sync follows the commit and nobody waits
   * for it: after power loss an earlier state comes back.
   */
  static open(file: string, { fsync }: { fsync: 'always' | 'interval' }): Store {
    return new Store(
      open<Buffer, Buffer>({
        path: file,
        noSubdir: true,
        keyEncoding: 'binary',
        encoding: 'binary',
        overlappingSync: fsync === 'interval',
        // Its own batching leaves a promise without a handler when a commit fails.
        eventTurnBatching: false,
      }),
    )
  }

  /** The body of a record; undefined where there is none, null where it is damaged. */
  get(key: Buffer): Buffer | null | undefined {
    const sealed = this.#database.getBinary(key)
    return sealed === undefined ? undefined : unseal(key, sealed)
  }

  json<T>(key: Buffer): T | null | undefined {
    const body = this.get(key)
    return body === undefined || body === null ? body : (JSON.parse(body.toString()) as T)
  }

  /** All records of a kind, in the order of their keys. */
  records(kind: Kind, limit: number = Infinity): Generator<StoredRecord> {
    return this.range(keyOf(kind), endOf(kind), limit)
  }

  /** All records of a kind, the last one first. */
  *backwards(kind: Kind): Generator<StoredRecord> {
    const range = { start: endOf(kind), end: keyOf(kind), reverse: true }
    for (const { key, value } of this.#database.getRange(range)) {
      yield { key, body: unseal(key, value) }
    }
  }

  /** The last key of a kind. */
  lastKey(kind: Kind): Buffer | null {
    const range = { start: endOf(kind), end: keyOf(kind), reverse: true, limit: 1 }
    for (const key of this.#database.getKeys(range)) return key
    return null
  }

  /** Records from `start` on, without `end`. */
  *range(start: Buffer, end: Buffer, limit: number = Infinity): Generator<StoredRecord> {
    const range = limit === Infinity ? { start, end } : { start, end, limit }
    for (const { key, value } of this.#database.getRange(range)) {
      yield { key, body: unseal(key, value) }
    }
  }

  /** One transaction: all of it, or, where it rejects, nothing. */
  async write(changes: readonly Change[]): Promise<void> {
    const database = this.#database
    const sealed = changes.map(({ key, body }) => ({
      key,
      value: body === null ? null : seal(key, body),
    }))
    try {
      await database.batch(() => {
        for (const { key, value } of sealed) {
          const done = value === null ? database.remove(key) : database.put(key, value)
          done.catch(failsWithBatch)
        }
      })
    } catch (error) {
      throw await causeOf(error)
    }
  }

  /** Rejects where the last commit failed; it is closed all the same. */
  async close(): Promise<void> {
    try {
      await this.#database.flushed
    } finally {
      await this.#database.close()
    }
  }
}

/** One operation fails only with its whole batch, whose promise is waited for. */
const failsWithBatch = (): void => undefined

/** The library tells why a commit failed by a promise of its own, which rejects. */
async function causeOf(error: unknown): Promise<unknown> {
  const { commitError } = error as { commitError?: unknown }
  if (!(commitError instanceof Promise)) return error
  return commitError.then(
    () => error,
    (cause: unknown) => cause,
  )
}
