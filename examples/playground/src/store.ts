/** A value that is replaced, never changed, and those who want to know. */
export interface Store<State> {
  get(): State
  /** Listeners hear of it once a turn, however many updates a turn has. */
  update(change: (state: State) => State): void
  subscribe(listener: (state: State) => void): () => void
}

/** `defer` runs something at the end of the turn. */
export function createStore<State>(initial: State, defer: (run: () => void) => void): Store<State> {
  const listeners = new Set<(state: State) => void>()
  let state = initial
  let scheduled = false

  const notify = (): void => {
    scheduled = false
    for (const listener of [...listeners]) listener(state)
  }
  return {
    get: () => state,
    update(change) {
      const next = change(state)
      if (Object.is(next, state)) return
      state = next
      if (scheduled) return
      scheduled = true
      defer(notify)
    },
    subscribe(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
  }
}
