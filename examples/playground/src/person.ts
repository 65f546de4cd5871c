import type { Words } from './i18n/words.js'
import { isRecord, isString, type JsonStorage } from './storage.js'

/** Who this window is. Another window is somebody else. */
export interface Person {
  /** As the server knows them: valid in a topic. */
  readonly userId: string
  /** As others see them. */
  readonly name: string
}

export const MAX_NAME_LENGTH = 40
const KEY = 'person'
const USER_ID = /^guest-[0-9a-f]{12}$/

/** The person of this window, made up where there is none yet or where a new one is asked for. */
export function personOf(
  session: JsonStorage,
  { words, random, fresh }: { words: Words; random: () => number; fresh: boolean },
): Person {
  const stored = fresh ? null : session.read(KEY, isPerson)
  if (stored !== null) return { userId: stored.userId, name: stored.name }
  const person = inventPerson(words, random)
  keepPerson(session, person)
  return person
}

export function keepPerson(session: JsonStorage, person: Person): void {
  session.write(KEY, person)
}

/** A name as others may see it, or null where nothing is left of it. */
export function cleanName(text: string): string | null {
  let name = ''
  // Whole characters: cutting one in two would leave half of a pair.
  for (const character of text.normalize('NFC').replace(/\s+/gu, ' ').trim()) {
    if (name.length + character.length > MAX_NAME_LENGTH) break
    name += character
  }
  return name.trim() === '' ? null : name.trim()
}

function inventPerson(words: Words, random: () => number): Person {
  const pick = (list: string): string => {
    const choices = list.split(',')
    return choices[Math.floor(random() * choices.length)] ?? ''
  }
  const name = words.text('names.pattern', {
    adjective: pick(words.text('names.adjectives')),
    animal: pick(words.text('names.animals')),
  })
  const digits = Array.from({ length: 12 }, () => Math.floor(random() * 16).toString(16))
  return { userId: `guest-${digits.join('')}`, name }
}

function isPerson(value: unknown): value is Record<string, unknown> & Person {
  if (!isRecord(value)) return false
  const { userId, name } = value
  return isString(userId) && USER_ID.test(userId) && isString(name) && cleanName(name) === name
}
