/** Offsets in a page are even, and 65,536 at most. */
const PLACES = 65_536 / 2 + 1

/** Whether nodes lie side by side, without holes, up to the end of their page. */
export class Tiling {
  // Each page has a round of its own, so that nothing has to be emptied.
  readonly #starts = new Uint32Array(PLACES)
  readonly #ends = new Uint32Array(PLACES)
  readonly #order = new Uint32Array(PLACES)
  #round = 0
  #count = 0
  #fits = true

  begin(): void {
    this.#round += 1
    this.#count = 0
    this.#fits = true
  }

  add(start: number, end: number): void {
    const [from, to] = [start >> 1, end >> 1]
    const isNew = this.#starts[from] !== this.#round && this.#ends[to] !== this.#round
    if (!isNew || start % 2 !== 0) {
      this.#fits = false
      return
    }
    this.#starts[from] = this.#round
    this.#ends[to] = this.#round
    this.#order[this.#count] = from
    this.#count += 1
  }

  /** From `upper`, where the first one begins, until `pageBytes`: each begins where another ends. */
  isWhole(upper: number, pageBytes: number): boolean {
    if (!this.#fits || this.#count === 0) return false
    for (let index = 0; index < this.#count; index += 1) {
      const at = this.#order[index] ?? 0
      if (at !== upper >> 1 && this.#ends[at] !== this.#round) return false
    }
    return this.#starts[upper >> 1] === this.#round && this.#ends[pageBytes >> 1] === this.#round
  }
}
