import type { HeldStore, OutboxRecord, OutboxStore } from './outbox-store.js'

const TABLE = 'publishes'

/** Whether this is a platform with a store of its own; private windows may refuse it all the same. */
export function hasBrowserStore(): boolean {
  return 'indexedDB' in globalThis
}

/**
 * IndexedDB, held by one tab of all by a Web Lock. A clock may be set, a lock ends with its page: so
 * no lease. One for each server, since the users of one are not those of another.
 */
export function browserStore(server: string): OutboxStore {
  const name = `bmt-realtime-outbox ${server}`
  return {
    async open(signal) {
      const release = await lock(name, signal)
      try {
        const database = await openDatabase(name)
        // Whoever wants to delete it may.
        database.onversionchange = () => database.close()
        return await held(database, release)
      } catch (error) {
        release()
        throw error
      }
    },
  }
}

function lock(name: string, signal: AbortSignal): Promise<() => void> {
  return new Promise((resolve, reject) => {
    navigator.locks
      .request(name, { signal }, () => new Promise<void>((release) => resolve(release)))
      .catch(reject)
  })
}

function openDatabase(name: string): Promise<IDBDatabase> {
  const request = indexedDB.open(name, 1)
  request.onupgradeneeded = () => request.result.createObjectStore(TABLE)
  return settled(request, 'success', () => request.result)
}

async function held(database: IDBDatabase, release: () => void): Promise<HeldStore> {
  const reading = database.transaction(TABLE)
  const table = reading.objectStore(TABLE)
  const keys = table.getAllKeys()
  const values = table.getAll()
  const records = await settled(reading, 'complete', () =>
    keys.result.map((key, index): OutboxRecord => ({
      key: Number(key),
      value: values.result[index],
    })),
  )
  return {
    records,
    write: async ({ put, remove }) => {
      const writing = database.transaction(TABLE, 'readwrite', { durability: 'strict' })
      const table = writing.objectStore(TABLE)
      for (const key of remove) table.delete(key)
      for (const { key, value } of put) table.put(value, key)
      await settled(writing, 'complete', () => undefined)
    },
    close: () => {
      database.close()
      release()
    },
  }
}

function settled<Result>(
  source: IDBRequest | IDBTransaction,
  done: 'success' | 'complete',
  result: () => Result,
): Promise<Result> {
  return new Promise((resolve, reject) => {
    const fail = (): void => reject(source.error ?? new Error('IndexedDB gave up'))
    source.addEventListener(done, () => resolve(result()))
    source.addEventListener('error', fail)
    source.addEventListener('abort', fail)
  })
}
