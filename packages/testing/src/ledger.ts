import type { Publication } from '@bmt-central/realtime-server/broker'

interface Entry extends Pick<Publication, 'topic' | 'id' | 'from' | 'seq' | 'epoch'> {
  /** Which of the world's brokers it was, counted from the first. */
  readonly broker: number
}

/** Everything that any broker of the world ever appended, in order: the truth that others are held to. */
export class Ledger {
  readonly #byTopic = new Map<string, Entry[]>()
  readonly #byPlace = new Map<string, string>()
  readonly #faults: string[] = []

  append({ topic, id, from, seq, epoch }: Publication, broker: number): void {
    const place = `${topic} ${epoch} ${seq}`
    const before = this.#byPlace.get(place)
    if (before !== undefined) this.#faults.push(`[P1] ${place} is ${before} and ${id}`)
    this.#byPlace.set(place, id)
    const entries = this.of(topic)
    const last = entries.findLast((entry) => entry.epoch === epoch)
    if (last !== undefined && seq !== last.seq + 1) {
      this.#faults.push(`[P1] ${place} follows ${last.seq}`)
    }
    entries.push({ topic, id, from, seq, epoch, broker })
  }

  of(topic: string): Entry[] {
    let entries = this.#byTopic.get(topic)
    if (entries === undefined) this.#byTopic.set(topic, (entries = []))
    return entries
  }

  /** The last position of an epoch; 0 where it has none. */
  head(topic: string, epoch: string): number {
    return this.of(topic).findLast((entry) => entry.epoch === epoch)?.seq ?? 0
  }

  get faults(): readonly string[] {
    return this.#faults
  }
}
