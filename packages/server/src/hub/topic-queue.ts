interface Task {
  readonly topics: readonly string[]
  /** In how many of its topics something stands before it. */
  waiting: number
  readonly run: () => void | Promise<void>
}

/**
 * Carries requests out in order for each topic, however long each takes; other topics do not wait
 * [W6]. A task of several topics (a batch) runs when every one of its topics has come to it. What
 * can be done at once is done at once: no promise, nothing kept.
 */
export class TopicQueue {
  /** Made with the first task that takes longer: most connections never have one. */
  #queues: Map<string, Task[]> | null = null

  /** `run` must not throw and must not reject: it answers its own errors. */
  add(topics: readonly string[], run: () => void | Promise<void>): void {
    const [only] = topics
    if (topics.length === 1 && only !== undefined && this.#queues?.has(only) !== true) {
      const result = run()
      if (!(result instanceof Promise)) return
      const task: Task = { topics, waiting: 0, run }
      this.#made().set(only, [task])
      void result.finally(() => this.#finish(task))
      return
    }
    const distinct = topics.length > 1 ? Array.from(new Set(topics)) : topics
    const task: Task = { topics: distinct, waiting: 0, run }
    const queues = this.#made()
    for (const topic of distinct) {
      const queue = queues.get(topic)
      if (queue === undefined) queues.set(topic, [task])
      else {
        queue.push(task)
        task.waiting += 1
      }
    }
    if (task.waiting === 0) this.#start(task)
  }

  /** Topics that something is in progress for. */
  get size(): number {
    return this.#queues?.size ?? 0
  }

  #made(): Map<string, Task[]> {
    this.#queues ??= new Map<string, Task[]>()
    return this.#queues
  }

  /** A loop, no recursion: thousands may wait behind one slow request. */
  #start(task: Task): void {
    const ready = [task]
    for (let next = ready.shift(); next !== undefined; next = ready.shift()) {
      const started = next
      const result = started.run()
      if (result instanceof Promise) void result.finally(() => this.#finish(started))
      else ready.push(...this.#release(started))
    }
  }

  #finish(task: Task): void {
    for (const next of this.#release(task)) this.#start(next)
  }

  /** Takes a task out of its queues; gives those that nothing stands before any more. */
  #release(task: Task): Task[] {
    const ready: Task[] = []
    for (const topic of task.topics) {
      const queue = this.#queues?.get(topic)
      if (queue === undefined) continue
      queue.shift()
      const next = queue[0]
      if (next === undefined) this.#queues?.delete(topic)
      else if ((next.waiting -= 1) === 0) ready.push(next)
    }
    return ready
  }
}
