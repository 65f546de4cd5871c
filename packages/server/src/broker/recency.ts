/** Where something stands in one `Recency`, or in none. */
export interface Place<T> {
  readonly value: T
  list: Recency<T> | null
  older: Place<T> | null
  newer: Place<T> | null
}

export function newPlace<T>(value: T): Place<T> {
  return { value, list: null, older: null, newer: null }
}

/**
 * Things in the order of their last use. A linked list, because every operation takes constant time:
 * a Map that is re-ordered by deleting and adding rehashes itself now and then, all at once.
 */
export class Recency<T> {
  #oldest: Place<T> | null = null
  #newest: Place<T> | null = null

  get oldest(): T | null {
    return this.#oldest?.value ?? null
  }

  /** Puts it at the newest end, out of whatever list it stands in. */
  touch(place: Place<T>): void {
    if (this.#newest === place) return
    place.list?.remove(place)
    place.list = this
    place.older = this.#newest
    if (this.#newest === null) this.#oldest = place
    else this.#newest.newer = place
    this.#newest = place
  }

  /** Puts it at the oldest end, out of whatever list it stands in. */
  retire(place: Place<T>): void {
    if (this.#oldest === place) return
    place.list?.remove(place)
    place.list = this
    place.newer = this.#oldest
    if (this.#oldest === null) this.#newest = place
    else this.#oldest.older = place
    this.#oldest = place
  }

  /** Takes it out; nothing happens where it is not in this list. */
  remove(place: Place<T>): void {
    if (place.list !== this) return
    if (place.older === null) this.#oldest = place.newer
    else place.older.newer = place.newer
    if (place.newer === null) this.#newest = place.older
    else place.newer.older = place.older
    place.list = null
    place.older = null
    place.newer = null
  }
}
