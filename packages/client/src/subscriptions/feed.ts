import type {
  EventMessage,
  Gap,
  Position,
  SubscribeAck,
  Topic,
} from '@bmt-central/realtime-protocol'
import { Join } from './join.js'
import { placeMessage, positionOf } from './placement.js'
import type { LocalSubscription, SubscribeOptions } from './subscription.js'

/** What the client counts of its messages; part of `getStats`. */
export interface MessageCounts {
  received: number
  duplicates: number
  recoveredMessages: number
  gaps: number
}

export interface FeedParts {
  readonly counts: MessageCounts
  readonly isOwn: (message: EventMessage) => boolean
}

/**
 * The one wire subscription of a topic, for all its local ones. Only a live one takes messages:
 * what arrives while an answer is on its way is in that answer, or of a subscription that has ended.
 */
export class Feed {
  readonly topic: Topic
  readonly #parts: FeedParts
  /** Those in the flow, and those that still have to catch up with it (`Join`). */
  readonly #locals = new Map<LocalSubscription, Join | null>()
  /** What the first local one asked for; until the first answer. */
  #start: SubscribeOptions
  #position: Position | null = null
  #live = false
  /** Each loss of the flow and each question begins a new one; answers to older ones are void. */
  #round = 0
  #recovered = true
  #replayed = 0
  /** Refusals in a row that may be tried again. */
  refusals = 0

  constructor(topic: Topic, start: SubscribeOptions, parts: FeedParts) {
    this.topic = topic
    this.#start = start
    this.#parts = parts
  }

  get live(): boolean {
    return this.#live
  }

  get position(): Position | null {
    return this.#position
  }

  get ephemeral(): boolean {
    return this.#position?.epoch === ''
  }

  get locals(): LocalSubscription[] {
    return [...this.#locals.keys()]
  }

  get size(): number {
    return this.#locals.size
  }

  /** The first one's wishes are the wire subscription's own; later ones catch up by themselves. */
  add(local: LocalSubscription, options: SubscribeOptions): void {
    const first = this.#locals.size === 0 && this.#position === null
    this.#locals.set(local, first ? null : new Join(options))
  }

  remove(local: LocalSubscription): void {
    this.#locals.delete(local)
  }

  joinOf(local: LocalSubscription): Join | null {
    return this.#locals.get(local) ?? null
  }

  /** Local ones that are not in the flow yet, though there is one. */
  get joining(): [LocalSubscription, Join][] {
    return this.#live
      ? [...this.#locals].filter((entry): entry is [LocalSubscription, Join] => entry[1] !== null)
      : []
  }

  /** Its entry in a `subscribe` request, and what makes the answer the present one. */
  ask(): { readonly item: object; readonly round: number } {
    this.#round += 1
    const { since, rewind } = this.#start
    const from = this.#position ?? since
    return {
      item: {
        topic: this.topic,
        ...(from !== undefined && from.epoch !== '' && { since: from }),
        ...(from === undefined && rewind !== undefined && { rewind }),
      },
      round: this.#round,
    }
  }

  get round(): number {
    return this.#round
  }

  isCurrent(round: number): boolean {
    return this.#round === round
  }

  /** The flow has a hole, or its link is gone: from here on by a new question. */
  suspend(): void {
    this.#live = false
    this.#round += 1
    this.#recovered = true
    this.#replayed = 0
    for (const local of this.#locals.keys()) local.suspend()
  }

  /** Another user [C8]: nothing of the old positions may show. */
  forget(): void {
    this.#position = null
    this.#start = {}
    for (const [local, join] of this.#locals) {
      local.position = null
      if (join !== null) this.#locals.set(local, new Join({}))
    }
  }

  /** One page. Ends early where a listener has changed everything meanwhile. */
  page(answer: SubscribeAck, round: number): void {
    const again = this.#position !== null
    this.#recovered &&= answer.recovered
    if (answer.gap !== undefined) this.#lose(answer.gap)
    for (const message of answer.messages) {
      if (!this.isCurrent(round)) return
      this.#replay(message, again)
    }
    if (!this.isCurrent(round)) return
    this.#position = positionOf(answer)
    if (!answer.more) this.#settle()
  }

  /** A live message. False: something before it is missing. */
  receive(message: EventMessage): boolean {
    if (!this.#live) return true
    const placement = placeMessage(this.#position, message)
    if (placement === 'duplicate') this.#parts.counts.duplicates += 1
    else if (placement !== 'deliver') return false
    else this.#deliver(message)
    return true
  }

  #replay(message: EventMessage, again: boolean): void {
    const last = this.#position
    const placement = placeMessage(last, message)
    if (placement === 'duplicate') {
      this.#parts.counts.duplicates += 1
      return
    }
    // An answer with a hole that it does not name: say it rather than hide it.
    const { epoch, seq } = message
    if (placement === 'gap' && last !== null) {
      this.#lose({ from: last.seq + 1, to: seq - 1, epoch, reason: 'expired' })
    } else if (placement === 'new_epoch') {
      this.#lose({ from: null, to: seq - 1, epoch, reason: 'epoch_changed' })
    }
    this.#replayed += 1
    if (again) this.#parts.counts.recoveredMessages += 1
    this.#deliver(message)
  }

  #deliver(message: EventMessage): void {
    this.#position = positionOf(message)
    this.#parts.counts.received += 1
    const own = this.#parts.isOwn(message)
    for (const [local, join] of [...this.#locals]) {
      if (join === null) local.deliver(message, own)
      else join.keep(message)
    }
  }

  #lose(gap: Gap): void {
    this.#recovered = false
    this.#position = { epoch: gap.epoch, seq: gap.to ?? 0 }
    this.#parts.counts.gaps += 1
    for (const [local, join] of [...this.#locals]) {
      if (join === null && !isBeyond(local.position, gap)) local.lose(gap)
    }
  }

  #settle(): void {
    this.#live = true
    this.#start = {}
    this.refusals = 0
    const outcome = { recovered: this.#recovered, replayed: this.#replayed }
    for (const [local, join] of [...this.#locals]) {
      if (join === null) this.#settleOne(local, outcome)
      else if (!join.wantsPast(this.#position ?? NOWHERE)) this.admit(local)
    }
  }

  #settleOne(local: LocalSubscription, outcome: { recovered: boolean; replayed: number }): void {
    const flow = this.#position ?? NOWHERE
    // One that has read its past may be ahead of the flow.
    const { position } = local
    const ahead = position !== null && position.epoch === flow.epoch && position.seq > flow.seq
    local.settle(ahead ? position : flow, outcome)
  }

  /** A local one has caught up: from the next message on it is in the flow. */
  admit(local: LocalSubscription): void {
    // A listener may have made it leave a moment ago.
    if (!this.#locals.has(local)) return
    const { recovered, replayed } = this.#locals.get(local) ?? NO_PAST
    this.#locals.set(local, null)
    this.#settleOne(local, { recovered, replayed })
  }
}

const NOWHERE: Position = { epoch: '', seq: 0 }
const NO_PAST = { recovered: false, replayed: 0 }

/** One that joined by its past may know already what the flow lost. */
function isBeyond(position: Position | null, gap: Gap): boolean {
  return gap.reason === 'expired' && position?.epoch === gap.epoch && position.seq >= (gap.to ?? 0)
}
