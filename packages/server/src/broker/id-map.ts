/** Beyond this a Map stops everybody for milliseconds whenever it grows. */
const MAX_SMALL_IDS = 8_192
/** So many further maps share what is beyond; a power of 2. */
const SHARDS = 32
/** Characters of an id that choose its shard. */
const HASHED_CHARACTERS = 8

/**
 * A map of message ids that is never one large Map, and takes little where it holds one id. Looking
 * up and adding take constant time; nothing can be removed.
 */
export class IdMap<Value> {
  #size = 0
  #firstId: string | null = null
  #first: Value | undefined
  #small: Map<string, Value> | null = null
  #shards: Map<string, Value>[] | null = null

  get size(): number {
    return this.#size
  }

  get(id: string): Value | undefined {
    if (this.#firstId === id) return this.#first
    return this.#small?.get(id) ?? this.#shards?.[shardOf(id)]?.get(id)
  }

  /** Adds an id that is not in it. */
  add(id: string, value: Value): void {
    this.#size += 1
    if (this.#firstId === null) {
      this.#firstId = id
      this.#first = value
      return
    }
    this.#small ??= new Map()
    if (this.#small.size < MAX_SMALL_IDS) {
      this.#small.set(id, value)
      return
    }
    this.#shards ??= Array.from({ length: SHARDS }, () => new Map())
    this.#shards[shardOf(id)]?.set(id, value)
  }
}

/** FNV-1a over the end of the id: that is where counters and random ids differ. */
function shardOf(id: string): number {
  let hash = 0x811c9dc5
  for (let index = Math.max(0, id.length - HASHED_CHARACTERS); index < id.length; index += 1) {
    hash = Math.imul(hash ^ id.charCodeAt(index), 0x01000193)
  }
  return (hash ^ (hash >>> 15)) & (SHARDS - 1)
}
