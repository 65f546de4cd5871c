/** Digits of a message's key: 5 of its topic's number, 9 of its number within the topic. */
const TOPIC_DIGITS = 5
const NUMBER_DIGITS = 9
const MARK = '"k":"'
const FILL = 'x'.repeat(64)

/** The payload of message `number` of a topic: some 100 bytes of JSON, all of the same length. */
export function payloadOf(topic: number, number: number): { k: string; text: string } {
  const k = String(topic).padStart(TOPIC_DIGITS, '0') + String(number).padStart(NUMBER_DIGITS, '0')
  return { k, text: FILL }
}

/** The same as text, without a detour. */
export function payloadText(topic: number, number: number): string {
  const { k, text } = payloadOf(topic, number)
  return `{"k":"${k}","text":"${text}"}`
}

export interface Key {
  topic: number
  number: number
}

export const keyOf = (k: string): Key => ({
  topic: Number(k.slice(0, TOPIC_DIGITS)),
  number: Number(k.slice(TOPIC_DIGITS)),
})

function digits(buffer: Buffer, from: number, count: number): number {
  let value = 0
  for (let at = from; at < from + count; at += 1) value = value * 10 + (buffer[at] ?? 0) - 48
  return value
}

const QUOTE = 0x22
const LETTER = 0x6b

/**
 * Finds keys in frames without parsing them: frames of one length have theirs at the same place,
 * which is looked at first.
 */
export class KeyFinder {
  readonly #offsets: number[] = []
  readonly #key: Key = { topic: 0, number: 0 }

  /** The key of the frame, in an object that the next call uses again. */
  find(buffer: Buffer, start: number, end: number): Key {
    const guess = start + (this.#offsets[end - start] ?? 0)
    const right =
      buffer[guess] === QUOTE && buffer[guess + 1] === LETTER && buffer[guess + 2] === QUOTE
    const at = right ? guess : this.#search(buffer, start, end)
    this.#key.topic = digits(buffer, at + MARK.length, TOPIC_DIGITS)
    this.#key.number = digits(buffer, at + MARK.length + TOPIC_DIGITS, NUMBER_DIGITS)
    return this.#key
  }

  #search(buffer: Buffer, start: number, end: number): number {
    const at = buffer.indexOf(MARK, start)
    if (at < 0 || at + MARK.length + TOPIC_DIGITS + NUMBER_DIGITS > end) {
      throw new Error(`a message without a key: ${buffer.toString('latin1', start, end)}`)
    }
    this.#offsets[end - start] = at - start
    return at
  }
}
