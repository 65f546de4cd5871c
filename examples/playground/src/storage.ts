/** What we need of `localStorage` and `sessionStorage`. */
export type TextStorage = Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>

/**
 * Values kept as JSON under one prefix. A browser may refuse storage altogether, and what is stored
 * may be from another version: then it is as if nothing was stored, and the page works without.
 */
export class JsonStorage {
  readonly #storage: TextStorage | null

  constructor(storage: TextStorage | null) {
    this.#storage = storage
  }

  /** @returns null where there is nothing that `accept` takes */
  read<T>(key: string, accept: (value: unknown) => value is T): T | null {
    try {
      const text = this.#storage?.getItem(keyOf(key)) ?? null
      const value: unknown = text === null ? null : JSON.parse(text)
      return accept(value) ? value : null
    } catch {
      return null
    }
  }

  write(key: string, value: unknown): void {
    try {
      this.#storage?.setItem(keyOf(key), JSON.stringify(value))
    } catch {
      // Full or forbidden: it is kept in the page, and lost with it.
    }
  }

  remove(key: string): void {
    try {
      this.#storage?.removeItem(keyOf(key))
    } catch {
      // Forbidden: then nothing was stored, either.
    }
  }
}

/** Some browsers throw where storage is merely named. */
export function openStorage(open: () => TextStorage): JsonStorage {
  try {
    return new JsonStorage(open())
  } catch {
    return new JsonStorage(null)
  }
}

function keyOf(key: string): string {
  return `realtime-playground:${key}`
}

export function isString(value: unknown): value is string {
  return typeof value === 'string'
}

export function isBoolean(value: unknown): value is boolean {
  return typeof value === 'boolean'
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
