import type { Cancel } from './runtime.js'

/**
 * A typed set of listeners. `on` returns the function that stops listening; stopping twice is fine.
 * One listener that throws never stops the next: what it threw goes to `onError` [P7].
 */
export class Listeners<Events extends object> {
  readonly #sets = new Map<keyof Events, Set<(event: never) => void>>()
  readonly #onError: (error: unknown, event: keyof Events) => void

  constructor(onError: (error: unknown, event: keyof Events) => void) {
    this.#onError = onError
  }

  on<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void): Cancel {
    // A function of its own, so that the same listener added twice is two listeners.
    const entry = (event: Events[Name]): void => listener(event)
    const set = this.#sets.get(name) ?? new Set()
    set.add(entry)
    this.#sets.set(name, set)
    return () => {
      set.delete(entry)
      if (set.size === 0 && this.#sets.get(name) === set) this.#sets.delete(name)
    }
  }

  emit<Name extends keyof Events>(name: Name, event: Events[Name]): void {
    const set = this.#sets.get(name)
    if (set === undefined) return
    for (const listener of Array.from(set)) {
      // A listener that an earlier one has just stopped must not hear this event any more.
      if (!set.has(listener)) continue
      try {
        const result: unknown = (listener as (event: Events[Name]) => unknown)(event)
        if (result instanceof Promise) result.catch((error: unknown) => this.#report(error, name))
      } catch (error) {
        this.#report(error, name)
      }
    }
  }

  #report(error: unknown, name: keyof Events): void {
    try {
      this.#onError(error, name)
    } catch {
      // Whoever was to be told has failed, too: there is nobody left to tell, and the next listener
      // must hear the event all the same.
    }
  }

  /** How many listen, to one event or to all. */
  count(name?: keyof Events): number {
    if (name !== undefined) return this.#sets.get(name)?.size ?? 0
    let total = 0
    for (const set of this.#sets.values()) total += set.size
    return total
  }

  clear(): void {
    for (const set of this.#sets.values()) set.clear()
    this.#sets.clear()
  }
}
