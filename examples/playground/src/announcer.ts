const QUIET_MS = 1_500

/**
 * Speaks to screen readers without flooding them: what comes within a moment is said together, by
 * number.
 */
export class Announcer {
  readonly #element: HTMLElement
  #waiting: string[] = []

  constructor(element: HTMLElement) {
    this.#element = element
  }

  /** `many` says how many there were, where there was more than one. */
  say(text: string, many: (count: number) => string): void {
    this.#waiting.push(text)
    if (this.#waiting.length > 1) return
    window.setTimeout(() => {
      const [first] = this.#waiting
      const { length } = this.#waiting
      this.#element.textContent = length === 1 ? (first ?? '') : many(length)
      this.#waiting = []
    }, QUIET_MS)
  }
}
