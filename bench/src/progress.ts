const BAR = 24

/** Says how far a run is: a bar on a terminal, else one line for each thing done. */
export class Progress {
  readonly #total: number
  readonly #startedAt = performance.now()
  #done = 0

  constructor(total: number) {
    this.#total = total
  }

  begin(what: string): void {
    if (!process.stderr.isTTY) return
    const full = Math.round((this.#done / this.#total) * BAR)
    const bar = '█'.repeat(full) + '░'.repeat(BAR - full)
    process.stderr.write(`\r\u001b[K${bar} ${this.#done}/${this.#total} ${this.#time()}  ${what}`)
  }

  end(what: string): void {
    this.#done += 1
    if (process.stderr.isTTY) this.begin(what)
    else process.stderr.write(`${this.#done}/${this.#total} ${this.#time()}  ${what}\n`)
  }

  close(): void {
    if (process.stderr.isTTY) process.stderr.write('\r\u001b[K')
  }

  #time(): string {
    const seconds = Math.round((performance.now() - this.#startedAt) / 1_000)
    return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
  }
}
