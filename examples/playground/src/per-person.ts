import { isRecord, type JsonStorage } from './storage.js'

/** People of other windows and days whose values are kept. */
const MAX_PEOPLE = 20

/**
 * A value of one person in a storage that all windows share: two windows are two people, and
 * neither may find the other's words. Only those who wrote last are kept.
 */
export class PerPerson<T> {
  readonly #storage: JsonStorage
  readonly #key: string
  readonly #userId: string
  readonly #accept: (value: unknown) => value is T

  constructor(
    storage: JsonStorage,
    {
      key,
      userId,
      accept,
    }: { key: string; userId: string; accept: (value: unknown) => value is T },
  ) {
    this.#storage = storage
    this.#key = key
    this.#userId = userId
    this.#accept = accept
  }

  read(): T | null {
    const value = this.#all()[this.#userId]
    return this.#accept(value) ? value : null
  }

  /** `null` takes the value out. */
  write(value: T | null): void {
    const all = this.#all()
    delete all[this.#userId]
    const others = Object.entries(all).slice(value === null ? 0 : -(MAX_PEOPLE - 1))
    const own: [string, T][] = value === null ? [] : [[this.#userId, value]]
    this.#storage.write(this.#key, Object.fromEntries([...others, ...own]))
  }

  #all(): Record<string, unknown> {
    return this.#storage.read(this.#key, isRecord) ?? {}
  }
}
