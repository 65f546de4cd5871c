/** How often each thing happened: faults that struck, and what came of them. */
export class Tally {
  readonly #counts = new Map<string, number>()

  add(what: string, count: number = 1): void {
    this.#counts.set(what, this.of(what) + count)
  }

  of(what: string): number {
    return this.#counts.get(what) ?? 0
  }

  addAll(other: Tally): void {
    for (const [what, count] of other.#counts) this.add(what, count)
  }

  /** By name. */
  get entries(): readonly (readonly [what: string, count: number])[] {
    return Array.from(this.#counts).sort(([a], [b]) => (a < b ? -1 : 1))
  }
}
