import { RealtimeError } from '@bmt-central/realtime-protocol'

const MAX_MESSAGES = 1_000
const MAX_BYTES = 8 * 1_024 * 1_024

/** What waits for an iteration [C9]: at most 1,000 messages or 8 MiB, then it ends. */
export class MessageBuffer<Message extends { readonly payload: unknown }> {
  #waiting: { message: Message; bytes: number }[] = []
  #bytes = 0
  #end: { readonly error: RealtimeError | null } | null = null
  #wake = (): void => undefined

  get size(): number {
    return this.#waiting.length
  }

  push(message: Message): void {
    if (this.#end !== null) return
    const bytes = roughBytes(message.payload)
    if (this.#waiting.length >= MAX_MESSAGES || this.#bytes + bytes > MAX_BYTES) {
      this.clear()
      const limits = `${MAX_MESSAGES} messages or ${MAX_BYTES} bytes`
      return this.end(new RealtimeError('slow_consumer', `an iteration fell behind by ${limits}`))
    }
    this.#bytes += bytes
    this.#waiting.push({ message, bytes })
    this.#wake()
  }

  clear(): void {
    this.#waiting = []
    this.#bytes = 0
  }

  /** What waits is still handed out, then the iteration ends: with the error where there is one. */
  end(error: RealtimeError | null): void {
    this.#end ??= { error }
    this.#wake()
  }

  /** Hands out what waits and what comes. `left` runs once, however the iteration ends. */
  async *messages(left: () => void): AsyncGenerator<Message, void, undefined> {
    try {
      for (;;) {
        for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
          this.#bytes -= next.bytes
          yield next.message
        }
        if (this.#end?.error) throw this.#end.error
        if (this.#end !== null) return
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
      }
    } finally {
      this.clear()
      this.end(null)
      left()
    }
  }
}

/** Near enough for a limit: the length of the JSON text, bytes as their length. */
function roughBytes(payload: unknown): number {
  let bytes = 0
  const text = JSON.stringify(payload, (_key, value: unknown) => {
    if (!ArrayBuffer.isView(value)) return value
    bytes += value.byteLength
    return ''
  }) as string | undefined
  return bytes + (text?.length ?? 0)
}
