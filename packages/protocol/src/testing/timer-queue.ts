import type { Cancel } from '../runtime.js'

interface Timer {
  readonly dueAt: number
  readonly order: number
  /** null: cancelled, or taken. */
  run: (() => void) | null
}

const isBefore = (a: Timer, b: Timer): boolean =>
  a.dueAt < b.dueAt || (a.dueAt === b.dueAt && a.order < b.order)

/** Timers by the instant at which they fall due, then by age: a binary heap. */
export class TimerQueue {
  #heap: Timer[] = []
  #order = 0
  #size = 0

  /** Those that wait. */
  get size(): number {
    return this.#size
  }

  add(dueAt: number, run: () => void): Cancel {
    const timer: Timer = { dueAt, order: (this.#order += 1), run }
    this.#size += 1
    this.#up(timer)
    return () => {
      if (timer.run === null) return
      timer.run = null
      this.#size -= 1
      // Cancelled ones stay until they come to the top; too many of them are cleared at once.
      if (this.#heap.length > 64 + 2 * this.#size) this.#rebuild()
    }
  }

  /** The first one that is due by then, taken out; null where there is none. */
  take(until: number): { readonly dueAt: number; readonly run: () => void } | null {
    for (let first = this.#heap[0]; first !== undefined; first = this.#heap[0]) {
      const { dueAt, run } = first
      if (run !== null && dueAt > until) return null
      this.#pop()
      if (run === null) continue
      first.run = null
      this.#size -= 1
      return { dueAt, run }
    }
    return null
  }

  #rebuild(): void {
    const waiting = this.#heap.filter(({ run }) => run !== null)
    this.#heap = []
    for (const timer of waiting) this.#up(timer)
  }

  #up(timer: Timer): void {
    const heap = this.#heap
    let at = heap.length
    while (at > 0) {
      const above = (at - 1) >> 1
      const parent = heap[above]
      if (parent === undefined || isBefore(parent, timer)) break
      heap[at] = parent
      at = above
    }
    heap[at] = timer
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    let at = 0
    for (;;) {
      let next = 2 * at + 1
      const left = heap[next]
      const right = heap[next + 1]
      if (left === undefined) break
      if (right !== undefined && isBefore(right, left)) next += 1
      const child = right !== undefined && next === 2 * at + 2 ? right : left
      if (isBefore(last, child)) break
      heap[at] = child
      at = next
    }
    heap[at] = last
  }
}
