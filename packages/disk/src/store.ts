import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs'
import { join } from 'node:path'
import type { Logger } from '@bmt-central/realtime-protocol'
import { open, type RootDatabase } from 'lmdb'
import { seal, unseal } from './record.js'

const FILE = 'store.lmdb'
const NUMBER_BYTES = 6
const MAX_NUMBER = 2 ** 48 - 1

/** What the first byte of a key says. */
export const KIND = { meta: 0, topic: 1, publication: 2, acceptedId: 3 } as const
export type Kind = (typeof KIND)[keyof typeof KIND]

/** A topic's number in the store, and a `seq` of its stream where the kind has one. */
export function keyOf(kind: Kind, number = 0, seq = 0): Buffer {
  const key = Buffer.alloc(1 + 2 * NUMBER_BYTES)
  key[0] = kind
  key.writeUIntBE(number, 1, NUMBER_BYTES)
  key.writeUIntBE(seq, 1 + NUMBER_BYTES, NUMBER_BYTES)
  return key
}

export const numberOf = (key: Buffer): number => key.readUIntBE(1, NUMBER_BYTES)
export const seqOf = (key: Buffer): number => key.readUIntBE(1 + NUMBER_BYTES, NUMBER_BYTES)

/** Where one transaction is put together. Later operations on a key win. */
export interface Writing {
  put(key: Buffer, sealed: Buffer): void
  putJson(key: Buffer, value: unknown): void
  remove(key: Buffer): void
}

/** Sealed records under keys, in one file; every change is one transaction. Knows nothing of streams. */
export class Store {
  readonly #database: RootDatabase<Buffer, Buffer>

  private constructor(database: RootDatabase<Buffer, Buffer>) {
    this.#database = database
  }

  /** Opens the store of a directory, which the caller holds. A file that cannot be one is set aside. */
  static open(directory: string, { logger, aside }: { logger: Logger; aside: string }): Store {
    mkdirSync(directory, { recursive: true })
    const file = join(directory, FILE)
    const problem = problemOf(file)
    if (problem !== null) setAside(file, { problem, logger, aside })
    const store = new Store(openFile(file, { logger, aside }))
    syncDirectory(directory)
    return store
  }

  /** The body of a record; undefined where there is none, null where it is damaged. */
  get(key: Buffer): Buffer | null | undefined {
    const sealed = this.#database.getBinary(key)
    return sealed === undefined ? undefined : unseal(key, sealed)
  }

  /** All records of a kind in the order of their keys; the body is null where one is damaged. */
  *records(kind: Kind): Generator<{ key: Buffer; body: Buffer | null }> {
    const range = { start: keyOf(kind), end: keyOf(kind, MAX_NUMBER, MAX_NUMBER) }
    for (const { key, value } of this.#database.getRange(range)) {
      yield { key, body: unseal(key, value) }
    }
  }

  /** The keys of one topic. */
  keys(kind: Kind, number: number): Buffer[] {
    const range = { start: keyOf(kind, number), end: keyOf(kind, number, MAX_NUMBER) }
    return [...this.#database.getKeys(range)]
  }

  /** One transaction. Resolves when it is committed; `durably`: when it is on the disk, too. */
  async write(fill: (writing: Writing) => void, durably: boolean): Promise<void> {
    const database = this.#database
    const put = (key: Buffer, sealed: Buffer): void => {
      database.put(key, sealed).catch(failsWithBatch)
    }
    const committed = database.batch(() =>
      fill({
        put,
        putJson: (key, value) => put(key, seal(key, Buffer.from(JSON.stringify(value)))),
        remove: (key) => void database.remove(key).catch(failsWithBatch),
      }),
    ) as Promise<boolean> & { flushed?: Promise<unknown> }
    const { flushed } = committed
    await committed
    if (durably) await flushed
  }

  async close(): Promise<void> {
    await this.#database.flushed
    await this.#database.close()
  }
}

/** One operation fails only with its whole batch, whose promise is waited for. */
const failsWithBatch = (): void => undefined

function openFile(
  file: string,
  facts: { logger: Logger; aside: string },
): RootDatabase<Buffer, Buffer> {
  const attempt = () =>
    open<Buffer, Buffer>({
      path: file,
      noSubdir: true,
      keyEncoding: 'binary',
      encoding: 'binary',
      separateFlushed: true,
      overlappingSync: true,
    })
  try {
    return attempt()
  } catch (error) {
    const { code } = error as { code?: unknown }
    // Without rights or room the file itself may be well.
    if (typeof code === 'string' && /^E(ACCES|PERM|ROFS|NOSPC|MFILE|NOMEM|IO)$/.test(code))
      throw error
    setAside(file, { ...facts, problem: String(error) })
    return attempt()
  }
}

function setAside(file: string, facts: { problem: string; logger: Logger; aside: string }): void {
  const kept = `${file}.damaged-${facts.aside}`
  renameSync(file, kept)
  rmSync(`${file}-lock`, { force: true })
  facts.logger.error('the store cannot be opened and was set aside', {
    file,
    kept,
    problem: facts.problem,
    todo: 'check the disk; the old file is kept, delete it once nothing in it is needed',
  })
}

// What a head page of the file says; its library would read past the end of a file that was cut.
const MAGIC = 0xbeefc0de
const AT = { magic: 24, pageBytes: 48, lastPage: 144, transaction: 152, end: 160 }

function problemOf(file: string): string | null {
  if (!existsSync(file)) return null
  const { size } = statSync(file)
  if (size === 0) return 'it is empty'
  const descriptor = openSync(file, 'r')
  try {
    const first = headPage(descriptor, 0)
    if (first === null) return 'its head is damaged'
    const second = headPage(descriptor, first.pageBytes)
    if (second === null) return 'its second head is damaged'
    const { lastPage } = first.transaction > second.transaction ? first : second
    const needed = (lastPage + 1) * first.pageBytes
    return size < needed ? `it has ${size} bytes of ${needed}` : null
  } finally {
    closeSync(descriptor)
  }
}

function headPage(
  descriptor: number,
  at: number,
): { pageBytes: number; lastPage: number; transaction: number } | null {
  const head = Buffer.alloc(AT.end)
  if (readSync(descriptor, head, 0, AT.end, at) < AT.end) return null
  if (head.readUInt32LE(AT.magic) !== MAGIC) return null
  const pageBytes = head.readUInt32LE(AT.pageBytes)
  if (pageBytes < 512 || pageBytes > 65_536) return null
  const lastPage = Number(head.readBigUInt64LE(AT.lastPage))
  return { pageBytes, lastPage, transaction: Number(head.readBigUInt64LE(AT.transaction)) }
}

function syncDirectory(directory: string): void {
  const descriptor = openSync(directory, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}
