/** The newest ids, as many as fit. */
export class RecentIds {
  readonly #ids = new Set<string>()
  readonly cap: number

  constructor(cap: number) {
    this.cap = cap
  }

  get size(): number {
    return this.#ids.size
  }

  add(id: string): void {
    this.#ids.delete(id)
    this.#ids.add(id)
    if (this.#ids.size <= this.cap) return
    for (const oldest of this.#ids) {
      this.#ids.delete(oldest)
      return
    }
  }

  has(id: string): boolean {
    return this.#ids.has(id)
  }
}
