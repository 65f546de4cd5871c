import type { Publication } from '../publication.js'

/** What may wait while a page is being read; past it the reader pages on [W10]. */
const MAX_JOIN_BUFFER = 1_000
const MAX_JOIN_BUFFER_BYTES = 1024 * 1024

/** What a subscription keeps up to date of its channel. */
export interface SubscriptionChannel {
  live: number
  readonly announced: number
  readonly joining: Set<Subscription>
}

/**
 * One connection's interest in one topic. `joining`: its past is being read, live publications wait
 * here; `paging`: the client has pages to ask for first; `live`: publications are passed on.
 */
export class Subscription {
  readonly #channel: SubscriptionChannel
  #state: 'joining' | 'paging' | 'live' = 'joining'
  #buffer: Publication[] | null = null
  #bufferBytes = 0
  #overflowed = false
  #joins = 0
  #counts = false
  /** The last position passed on. */
  #epoch = ''
  #seq = 0
  /** Of the channel's announcements, how many were before it became live. */
  #announcedBefore = 0

  constructor(channel: SubscriptionChannel) {
    this.#channel = channel
  }

  get live(): boolean {
    return this.#state === 'live'
  }

  get joining(): boolean {
    return this.#state === 'joining'
  }

  /** How often it has joined: whoever paused it may go on where nobody has joined since. */
  get joins(): number {
    return this.#joins
  }

  /** From now on publications wait until `settle`; what waits already goes on waiting. */
  join(): void {
    this.#joins += 1
    if (this.#state !== 'joining') this.#empty()
    this.#state = 'joining'
    this.#channel.joining.add(this)
    this.#count(true)
  }

  /** Whether not all is there that should wait: the reader pages on. */
  get overflowed(): boolean {
    return this.#overflowed
  }

  /** The client has pages to ask for before it is live. */
  page(): void {
    this.#state = 'paging'
    this.#channel.joining.delete(this)
    this.#empty()
    this.#count(false)
  }

  /** Live after `position`; gives what waited and comes after it. Nothing where it is live already. */
  settle(position: { epoch: string; seq: number }): Publication[] {
    if (this.#state === 'live') return []
    const waited = this.#buffer
    this.#empty()
    this.#state = 'live'
    this.#channel.joining.delete(this)
    this.#announcedBefore = this.#channel.announced
    this.#count(true)
    this.#epoch = position.epoch
    this.#seq = position.seq
    return waited?.filter((publication) => this.advance(publication)) ?? []
  }

  /** Keeps a publication that arrives while the past is being read. */
  wait(publication: Publication): void {
    if (this.#state !== 'joining' || this.#overflowed) return
    const buffer = (this.#buffer ??= [])
    buffer.push(publication)
    this.#bufferBytes += publication.payloadBytes
    while (buffer.length > MAX_JOIN_BUFFER || this.#bufferBytes > MAX_JOIN_BUFFER_BYTES) {
      // Of an ephemeral topic there is no past to page through: the newest go on waiting [P11].
      if (publication.epoch !== '') return this.overflow()
      this.#bufferBytes -= buffer.shift()?.payloadBytes ?? 0
    }
  }

  /** Whoever reads the past for it begins anew: what waited is in what will be read. */
  restart(): void {
    if (this.#state === 'joining') this.#empty()
  }

  /** Something that should wait is lost. */
  overflow(): void {
    if (this.#state !== 'joining') return
    this.#empty()
    this.#overflowed = true
  }

  /**
   * Passes on what was announced after `before` announcements of the channel: gives the index of the
   * first that is to be passed on, `publications.length` where none is. All later ones follow it.
   */
  pass(publications: readonly Publication[], before: number): number {
    let index = Math.max(0, this.#announcedBefore - before)
    for (; index < publications.length; index += 1) {
      const publication = publications[index]
      if (publication !== undefined && this.advance(publication)) break
    }
    const last = publications.at(-1)
    if (index < publications.length && last !== undefined) this.advance(last)
    this.#announcedBefore = before + publications.length
    return index
  }

  /** Whether a publication is to be passed on: no position is passed on twice. */
  advance(publication: Publication): boolean {
    if (publication.epoch === '') return true
    if (publication.epoch === this.#epoch && publication.seq <= this.#seq) return false
    this.#epoch = publication.epoch
    this.#seq = publication.seq
    return true
  }

  /** The last position passed on. */
  get position(): { epoch: string; seq: number } {
    return { epoch: this.#epoch, seq: this.#seq }
  }

  /** It is over: nothing waits any more. */
  leave(): void {
    this.page()
  }

  #empty(): void {
    this.#buffer = null
    this.#bufferBytes = 0
    this.#overflowed = false
  }

  /** Live subscriptions, and those that will be with the answer that is being made, count for `deliveredTo`. */
  #count(counts: boolean): void {
    if (counts === this.#counts) return
    this.#counts = counts
    this.#channel.live += counts ? 1 : -1
  }
}
