import type { EventMessage, HistoryPage, Position } from '@bmt-central/realtime-protocol'
import { placeMessage, positionOf } from './placement.js'
import type { LocalSubscription, SubscribeOptions } from './subscription.js'

/** Live messages kept while a page is on its way; past it, the next page has them. */
const MAX_KEPT = 500

/**
 * The way of one local subscription into the flow of a topic that is live already [C9]: it reads the
 * past page by page, and keeps what arrives live meanwhile, until its position has reached the flow's.
 */
export class Join {
  readonly #rewind: number
  #since: Position | null
  #kept: EventMessage[] | null = null
  #complete = true
  #gapless = true
  replayed = 0

  constructor(options: SubscribeOptions) {
    this.#since = options.since ?? null
    this.#rewind = options.since === undefined ? (options.rewind ?? 0) : 0
  }

  get recovered(): boolean {
    return this.#since !== null && this.#rewind === 0 && this.#gapless
  }

  /** Whether there is a past to read; else it can join the flow at once. */
  wantsPast(flow: Position): boolean {
    return flow.epoch !== '' && (this.#since !== null || this.#rewind > 0)
  }

  /** After which position to read on. */
  begin(flow: Position): Position {
    this.#since ??= { epoch: flow.epoch, seq: Math.max(0, flow.seq - this.#rewind) }
    this.#kept = []
    this.#complete = true
    return this.#since
  }

  stop(): void {
    this.#kept = null
  }

  /** A live message, while it reads. */
  keep(message: EventMessage): void {
    if (this.#kept === null) return
    if (this.#kept.length < MAX_KEPT) this.#kept.push(message)
    else this.#complete = false
  }

  /**
   * Delivers one page, and what was kept where it was the last one. True: it has reached the flow.
   * `isCurrent` turns false where a listener changed everything meanwhile.
   */
  page(
    page: HistoryPage,
    local: LocalSubscription,
    { flow, isOwn, isCurrent }: PageSurroundings,
  ): boolean {
    const deliver = (message: EventMessage): void => {
      if (!isCurrent() || placeMessage(this.#since, message) === 'duplicate') return
      this.#since = positionOf(message)
      this.replayed += 1
      local.deliver(message, isOwn(message))
    }
    if (page.gap !== undefined) {
      this.#since = { epoch: page.gap.epoch, seq: page.gap.to ?? 0 }
      // `rewind` asks for what there is: until the first message nothing can be missing.
      if (this.#rewind === 0 || this.replayed > 0) {
        this.#gapless = false
        local.lose(page.gap)
      }
    }
    page.messages.forEach(deliver)
    const kept = this.#kept ?? []
    this.#kept = null
    if (page.more || !isCurrent()) return false
    this.#since = positionOf(page)
    for (const message of this.#complete ? kept : []) {
      // A broker's replica may be behind the flow: then the next page has it.
      if (placeMessage(this.#since, message) !== 'gap') deliver(message)
    }
    const now = flow()
    return now !== null && now.epoch === this.#since.epoch && now.seq <= this.#since.seq
  }
}

export interface PageSurroundings {
  /** The flow's position. */
  readonly flow: () => Position | null
  readonly isOwn: (message: EventMessage) => boolean
  readonly isCurrent: () => boolean
}
