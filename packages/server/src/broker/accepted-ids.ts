import { IdMap } from './id-map.js'

/** The result of an accepted publish, and the hash that a resend is compared by [P4]. */
export interface AcceptedId {
  readonly hash: string
  readonly seq: number
  readonly timestamp: number
  readonly deliveredTo: number
  /** Instant of acceptance, ms of the clock that is passed in. */
  readonly atMs: number
}

/** What is remembered of one topic, by the publishing user's id (null: the server itself). */
export type TopicIds = Map<string | null, Author>

/** One user in one topic. */
interface Author {
  readonly from: string | null
  readonly topic: TopicIds
  /** Oldest first. */
  readonly generations: Generation[]
}

/** Ids that one user published to one topic within one slice of time. */
interface Generation {
  /** Null where the topic was forgotten. */
  author: Author | null
  readonly slice: Slice
  ids: IdMap<AcceptedId>
  lastAtMs: number
}

/** All ids of the broker that were accepted within some time: what is forgotten at once. */
interface Slice {
  readonly openedAtMs: number
  lastAtMs: number
  count: number
  retired: boolean
  readonly generations: Generation[]
}

/** Ids were forgotten before their time: at `atMs` the youngest of them was `windowMs` old. */
export interface WindowCut {
  readonly windowMs: number
  readonly atMs: number
}

/** By time a slice ends after this part of the window, by number after this part of all ids. */
const SLICES_PER_WINDOW = 4
const SLICES_PER_NUMBER = 4
/** Generations that are taken apart with each new id: more than a new id can add. */
const RELEASED_PER_ID = 4

/**
 * The accepted message ids of a broker [P4][L17]: many small maps, one for each user in each topic
 * and slice of time, since one large map is slow to grow. Nothing is removed id by id. A slice is
 * retired as a whole (its maps are taken apart a few at a time), when its youngest id is older than
 * the window, or when there are more ids than may be kept. No clock: instants are passed in.
 */
export class AcceptedIds {
  readonly #windowMs: number
  readonly #maxIds: number
  /** Oldest first. */
  readonly #slices: Slice[] = []
  /** What is not valid any more and still to be taken apart. */
  readonly #retired: Slice[] = []
  #size = 0
  #cut: WindowCut | null

  /** `cut`: the last one of before, where ids are remembered over restarts. */
  constructor(
    limits: { readonly windowMs: number; readonly maxIds: number },
    cut: WindowCut | null = null,
  ) {
    this.#windowMs = limits.windowMs
    this.#maxIds = limits.maxIds
    this.#cut = cut
  }

  /** The last one. What remembers ids over a restart remembers it with what it forgets. */
  get cut(): WindowCut | null {
    return this.#cut
  }

  /** Ids that are held; never more than `maxIds`. */
  get size(): number {
    return this.#size
  }

  find(topic: TopicIds, from: string | null, id: string, nowMs: number): AcceptedId | null {
    const generations = topic.get(from)?.generations
    if (generations === undefined) return null
    for (let index = generations.length - 1; index >= 0; index -= 1) {
      const generation = generations[index]
      if (generation === undefined || generation.slice.retired) return null
      const accepted = generation.ids.get(id)
      if (accepted !== undefined) return nowMs - accepted.atMs < this.#windowMs ? accepted : null
    }
    return null
  }

  /** Remembers an id that `find` does not know. */
  remember(topic: TopicIds, key: { from: string | null; id: string }, accepted: AcceptedId): void {
    const nowMs = accepted.atMs
    this.#retireExpired(nowMs)
    while (this.#size >= this.#maxIds) this.#retireOldest(nowMs)
    const slice = this.#openSlice(nowMs)
    const generation = generationOf(topic, key.from, slice)
    generation.ids.add(key.id, accepted)
    generation.lastAtMs = nowMs
    slice.lastAtMs = nowMs
    slice.count += 1
    this.#size += 1
    this.#release(RELEASED_PER_ID)
  }

  /**
   * Forgets a topic before its time. Its ids keep their place in the number until their slice is
   * retired: so the number bounds what is held, whatever is forgotten in between.
   */
  forget(topic: TopicIds, nowMs: number): void {
    for (const { generations } of topic.values()) {
      for (const generation of generations) {
        if (!generation.slice.retired) this.#noteCut(nowMs - generation.lastAtMs, nowMs)
        generation.author = null
        generation.ids = new IdMap()
      }
    }
    topic.clear()
  }

  /** Notes that ids which are not in here are forgotten before their time, accepted up to `lastAtMs`. */
  forgotten(lastAtMs: number, nowMs: number): void {
    this.#noteCut(nowMs - lastAtMs, nowMs)
  }

  /**
   * How long an id that is accepted now will be remembered, where that is less than the window:
   * as long as those that were last forgotten early. Undefined where none was within a window.
   */
  windowMs(nowMs: number): number | undefined {
    if (this.#cut === null) return undefined
    return nowMs - this.#cut.atMs < this.#windowMs ? this.#cut.windowMs : undefined
  }

  /** A result with what `windowMs` says, where it says something. */
  withWindow<T extends object>(result: T, nowMs: number): T & { readonly windowMs?: number } {
    const windowMs = this.windowMs(nowMs)
    return windowMs === undefined ? result : { ...result, windowMs }
  }

  /** How long an id that is accepted now will be remembered. */
  rememberedMs(nowMs: number): number {
    return this.windowMs(nowMs) ?? this.#windowMs
  }

  /** Frees what is past the window. True where there is more to free than `budget` maps. */
  sweep(nowMs: number, budget: number): boolean {
    this.#retireExpired(nowMs)
    this.#release(budget)
    return this.#retired.length > 0
  }

  #openSlice(nowMs: number): Slice {
    const current = this.#slices.at(-1)
    if (
      current !== undefined &&
      nowMs - current.openedAtMs < this.#windowMs / SLICES_PER_WINDOW &&
      current.count < this.#maxIds / SLICES_PER_NUMBER
    ) {
      return current
    }
    const opened: Slice = {
      openedAtMs: nowMs,
      lastAtMs: nowMs,
      count: 0,
      retired: false,
      generations: [],
    }
    this.#slices.push(opened)
    return opened
  }

  #retireExpired(nowMs: number): void {
    for (;;) {
      const [oldest] = this.#slices
      if (oldest === undefined || nowMs - oldest.lastAtMs < this.#windowMs) return
      this.#retire()
    }
  }

  #retireOldest(nowMs: number): void {
    const [oldest] = this.#slices
    if (oldest !== undefined) this.#noteCut(nowMs - oldest.lastAtMs, nowMs)
    this.#retire()
  }

  #retire(): void {
    const slice = this.#slices.shift()
    if (slice === undefined) return
    slice.retired = true
    this.#size -= slice.count
    this.#retired.push(slice)
  }

  #noteCut(windowMs: number, atMs: number): void {
    if (windowMs < this.#windowMs) this.#cut = { windowMs, atMs }
  }

  #release(budget: number): void {
    for (let left = budget; left > 0; left -= 1) {
      const [slice] = this.#retired
      if (slice === undefined) return
      const generation = slice.generations.pop()
      if (generation === undefined) this.#retired.shift()
      else unlink(generation)
    }
  }
}

function generationOf(topic: TopicIds, from: string | null, slice: Slice): Generation {
  const author = topic.get(from)
  const current = author?.generations.at(-1)
  if (current?.slice === slice) return current
  const opened: Generation = { author: author ?? null, slice, ids: new IdMap(), lastAtMs: 0 }
  slice.generations.push(opened)
  if (author === undefined) {
    // A list with one entry from the start takes a tenth of one that grows: most users publish once.
    opened.author = { from, topic, generations: [opened] }
    topic.set(from, opened.author)
  } else {
    author.generations.push(opened)
  }
  return opened
}

function unlink(generation: Generation): void {
  const { author } = generation
  if (author === null) return
  const index = author.generations.indexOf(generation)
  if (index >= 0) author.generations.splice(index, 1)
  if (author.generations.length === 0) author.topic.delete(author.from)
}
