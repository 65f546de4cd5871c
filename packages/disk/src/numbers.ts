/** Numbers that are given once. */
export class Numbers {
  #topic: number
  #commit: number

  constructor(next: { readonly topic: number; readonly commit: number }) {
    this.#topic = next.topic
    this.#commit = next.commit
  }

  /** The number that the next topic gets. */
  get nextTopic(): number {
    return this.#topic
  }

  topic(): number {
    this.#topic += 1
    return this.#topic - 1
  }

  commit(): number {
    this.#commit += 1
    return this.#commit - 1
  }
}
