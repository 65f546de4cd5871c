import type { ReadQuery } from './broker.js'

/** What still fits into a page; one publication larger than a page goes alone [L16]. */
export class PageBudget {
  #count: number
  #bytes: number
  #empty = true

  constructor({ limit, maxBytes }: Pick<ReadQuery, 'limit' | 'maxBytes'>) {
    this.#count = limit
    this.#bytes = maxBytes
  }

  /** Whether a publication with so many payload bytes goes into the page, too. */
  takes(payloadBytes: number): boolean {
    if (this.#count <= 0) return false
    if (!this.#empty && payloadBytes > this.#bytes) return false
    this.#count -= 1
    this.#bytes -= payloadBytes
    this.#empty = false
    return true
  }
}
