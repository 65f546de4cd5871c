import type { PerPerson } from './per-person.js'
import { isRecord, isString } from './storage.js'

export type DraftMap = Record<string, string>

export function isDraftMap(value: unknown): value is DraftMap {
  return isRecord(value) && Object.values(value).every(isString)
}

/** What was typed in each room and not sent yet. It survives a reload. */
export class Drafts {
  readonly #kept: PerPerson<DraftMap>
  #drafts: DraftMap

  constructor(kept: PerPerson<DraftMap>) {
    this.#kept = kept
    this.#drafts = kept.read() ?? {}
  }

  of(room: string): string {
    return Object.hasOwn(this.#drafts, room) ? (this.#drafts[room] ?? '') : ''
  }

  keep(room: string, text: string): void {
    if (text === this.of(room)) return
    const { [room]: _previous, ...others } = this.#drafts
    this.#drafts = text === '' ? others : { ...others, [room]: text }
    this.#kept.write(Object.keys(this.#drafts).length === 0 ? null : this.#drafts)
  }
}
