/** Calls `run` once at the end of the turn in which the returned function was called, however often. */
export function oncePerTurn(run: () => void): () => void {
  let waiting = false
  return () => {
    if (waiting) return
    waiting = true
    queueMicrotask(() => {
      waiting = false
      run()
    })
  }
}
