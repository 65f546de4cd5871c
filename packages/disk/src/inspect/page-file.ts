import { closeSync, fstatSync, openSync, readSync } from 'node:fs'

/** What one read fetches at least, where pages are read in ascending order. */
const WINDOW_BYTES = 1_024 * 1_024

/** Plain reads of a file, whatever is in it: never mapped, so that a cut file is no signal. */
export class PageFile {
  readonly sizeBytes: number
  readonly #descriptor: number
  readonly #window = Buffer.alloc(WINDOW_BYTES)
  #windowAt = 0
  #windowEnd = 0

  constructor(path: string) {
    this.#descriptor = openSync(path, 'r')
    this.sizeBytes = fstatSync(this.#descriptor).size
  }

  /** A copy of what is there: shorter where the file ends. */
  read(at: number, bytes: number): Buffer {
    const buffer = Buffer.allocUnsafe(Math.max(0, Math.min(bytes, this.sizeBytes - at)))
    return buffer.subarray(0, this.#fill(buffer, at))
  }

  /**
   * A page, or null where it is not wholly in the file. Valid until the next call; quick where the
   * numbers ascend.
   */
  page(number: number, pageBytes: number): Buffer | null {
    const at = number * pageBytes
    const end = at + pageBytes
    if (end > this.sizeBytes) return null
    if (at < this.#windowAt || end > this.#windowEnd) {
      const ahead = at - this.#windowEnd
      const ascends = ahead > -pageBytes && ahead < WINDOW_BYTES
      const window = ascends ? this.#window : this.#window.subarray(0, pageBytes)
      this.#windowAt = at
      this.#windowEnd = at + this.#fill(window, at)
      if (end > this.#windowEnd) return null
    }
    return this.#window.subarray(at - this.#windowAt, end - this.#windowAt)
  }

  /** The same for a page that stands alone. */
  singlePage(number: number, pageBytes: number): Buffer | null {
    const page = this.read(number * pageBytes, pageBytes)
    return page.length < pageBytes ? null : page
  }

  close(): void {
    closeSync(this.#descriptor)
  }

  #fill(buffer: Buffer, at: number): number {
    let filled = 0
    while (filled < buffer.length) {
      const count = readSync(this.#descriptor, buffer, filled, buffer.length - filled, at + filled)
      if (count === 0) break
      filled += count
    }
    return filled
  }
}
