import type { Gap, PublishAck, ReceivedMessage } from '@bmt-central/realtime'

/** What stands at one place of the stream, until everybody has heard it and its writer knows. */
interface Place {
  readonly id: string
  readonly number: number
  heard: number
  acknowledged: boolean
}

const MOST_FAULTS = 20

/**
 * Compares what the readers of one topic hear with what its writer was told, as it happens: what
 * agrees is forgotten, so that a run may last as long as one likes. The writer numbers what it says.
 */
export class Ledger {
  readonly #last: { seq: number; number: number }[]
  readonly #places = new Map<number, Place>()
  #epoch: string | null = null
  /** What is wrong; the first ones of it. */
  readonly faults: string[] = []
  acknowledgements = 0
  deliveries = 0
  gaps = 0
  /** Of the last publication that was acknowledged. */
  head = 0

  constructor(readers: number) {
    this.#last = Array.from({ length: readers }, () => ({ seq: 0, number: 0 }))
  }

  heard(reader: number, message: ReceivedMessage<number>): void {
    const { id, epoch, seq, payload } = message
    const last = this.#last[reader]
    if (last === undefined) throw new Error(`there is no reader ${reader}`)
    this.deliveries += 1
    this.#sameEpoch(epoch)
    if (seq !== last.seq + 1) this.#fault(`reader ${reader} heard ${seq} after ${last.seq}`)
    if (payload <= last.number) {
      this.#fault(`reader ${reader} heard number ${payload} after number ${last.number}`)
    }
    this.#last[reader] = { seq, number: payload }
    const place = this.#at(seq, { id, number: payload })
    place.heard += 1
    this.#forgetDone(seq, place)
  }

  gap(reader: number, gap: Gap): void {
    this.gaps += 1
    this.#fault(`reader ${reader} was told of a gap: ${JSON.stringify(gap)}`)
  }

  acknowledged(number: number, { messageId, epoch, seq }: PublishAck): void {
    this.acknowledgements += 1
    this.head = Math.max(this.head, seq)
    this.#sameEpoch(epoch)
    if (!this.#places.has(seq) && this.#last.every((last) => last.seq >= seq)) {
      return this.#fault(`place ${seq} was acknowledged twice`)
    }
    const place = this.#at(seq, { id: messageId, number })
    if (place.acknowledged) this.#fault(`place ${seq} was acknowledged twice`)
    place.acknowledged = true
    this.#forgetDone(seq, place)
  }

  /** Whether everybody has heard all that was acknowledged. */
  get complete(): boolean {
    return this.#last.every(({ seq }) => seq >= this.head)
  }

  /** At the end: what was acknowledged, but not heard by all, or heard, and never acknowledged. */
  get unsettled(): string[] {
    return [...this.#places].map(
      ([seq, { heard, acknowledged }]) =>
        `place ${seq}: heard ${heard} times, ${acknowledged ? '' : 'not '}acknowledged`,
    )
  }

  #at(seq: number, { id, number }: { id: string; number: number }): Place {
    const known = this.#places.get(seq)
    if (known !== undefined) {
      if (known.id !== id || known.number !== number) {
        this.#fault(`place ${seq} means ${known.id} (${known.number}) and ${id} (${number})`)
      }
      return known
    }
    const place = { id, number, heard: 0, acknowledged: false }
    this.#places.set(seq, place)
    return place
  }

  #forgetDone(seq: number, { heard, acknowledged }: Place): void {
    if (acknowledged && heard >= this.#last.length) this.#places.delete(seq)
  }

  /** What a restart forgot would begin another one. */
  #sameEpoch(epoch: string): void {
    this.#epoch ??= epoch
    if (epoch !== this.#epoch) this.#fault(`epoch ${epoch} after ${this.#epoch}`)
  }

  #fault(text: string): void {
    if (this.faults.length < MOST_FAULTS) this.faults.push(text)
  }
}
