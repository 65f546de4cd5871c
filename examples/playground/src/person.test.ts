import { userIdFault } from '@bmt-central/realtime-protocol'
import { seededRandom } from '@bmt-central/realtime-protocol/testing'
import { describe, expect, test } from 'vitest'
import { Drafts, isDraftMap } from './drafts.js'
import { roomNameOf, chatTopic } from './chat/rooms.js'
import { heard, stillTyping, TYPING_HOLDS_MS, type Typist } from './chat/typing.js'
import { wordsOf } from './i18n/words.js'
import { PerPerson } from './per-person.js'
import { cleanName, keepPerson, personOf } from './person.js'
import { JsonStorage, openStorage, type TextStorage } from './storage.js'

function memoryStorage(): TextStorage & { size: () => number } {
  const values = new Map<string, string>()
  return {
    getItem: (key) => values.get(key) ?? null,
    setItem: (key, value) => void values.set(key, value),
    removeItem: (key) => void values.delete(key),
    size: () => values.size,
  }
}

const asked = { words: wordsOf('en'), random: seededRandom(3), fresh: false }

describe('a person', () => {
  test('[T3] is made up with a readable name and an id that a topic can hold', () => {
    const storage = new JsonStorage(memoryStorage())
    for (const language of ['en', 'zh'] as const) {
      const person = personOf(storage, { ...asked, words: wordsOf(language), fresh: true })
      expect(userIdFault(person.userId)).toBeNull()
      expect(person.name.length).toBeGreaterThan(2)
    }
  })

  test('stays the same through a reload, another where somebody new is asked for', () => {
    const storage = new JsonStorage(memoryStorage())
    const first = personOf(storage, asked)
    expect(personOf(storage, asked)).toEqual(first)
    keepPerson(storage, { ...first, name: 'Ada' })
    expect(personOf(storage, asked)).toEqual({ userId: first.userId, name: 'Ada' })
    expect(personOf(storage, { ...asked, fresh: true }).userId).not.toBe(first.userId)
  })

  test('whom somebody has tampered with is made up anew', () => {
    const texts = memoryStorage()
    const storage = new JsonStorage(texts)
    keepPerson(storage, { userId: 'root:admin', name: 'Ada' })
    expect(personOf(storage, asked).userId).toMatch(/^guest-[0-9a-f]{12}$/)
  })

  test('has a name of whole characters, at most 40 units, without odd blanks', () => {
    expect(cleanName('  Ada \n Lovelace ')).toBe('Ada Lovelace')
    expect(cleanName(' \t ')).toBeNull()
    expect(cleanName('😀'.repeat(30))).toBe('😀'.repeat(20))
  })
})

describe('drafts', () => {
  test('survive a reload, each person`s apart', () => {
    const storage = new JsonStorage(memoryStorage())
    const draftsOf = (userId: string): Drafts =>
      new Drafts(new PerPerson(storage, { key: 'drafts', userId, accept: isDraftMap }))
    draftsOf('ada').keep('welcome', 'half a sent')
    draftsOf('bob').keep('welcome', 'other')
    expect(draftsOf('ada').of('welcome')).toBe('half a sent')
    expect(draftsOf('ada').of('workshop')).toBe('')
    draftsOf('ada').keep('welcome', '')
    expect(draftsOf('ada').of('welcome')).toBe('')
    expect(draftsOf('bob').of('welcome')).toBe('other')
  })

  test('of people long gone make room for others', () => {
    const storage = new JsonStorage(memoryStorage())
    const of = (userId: string): PerPerson<Record<string, string>> =>
      new PerPerson(storage, { key: 'drafts', userId, accept: isDraftMap })
    for (let index = 0; index < 25; index += 1) of(`p${index}`).write({ welcome: 'x' })
    expect(of('p0').read()).toBeNull()
    expect(of('p24').read()).toEqual({ welcome: 'x' })
  })

  test('are kept in the page where a browser refuses storage', () => {
    const refused = (): never => {
      throw new Error('forbidden')
    }
    const storages = [
      openStorage(refused),
      new JsonStorage({ getItem: refused, setItem: refused, removeItem: refused }),
    ]
    for (const storage of storages) {
      const kept = new PerPerson(storage, { key: 'drafts', userId: 'ada', accept: isDraftMap })
      const drafts = new Drafts(kept)
      drafts.keep('welcome', 'here')
      expect(drafts.of('welcome')).toBe('here')
      storage.remove('drafts')
    }
  })
})

describe('typing', () => {
  const ada = { userId: 'ada', name: 'Ada', typing: true }

  test('holds for a moment, and ends when told', () => {
    const typists = heard([], ada, 1_000)
    expect(stillTyping(typists, 1_000 + TYPING_HOLDS_MS - 1)).toBe(typists)
    expect(stillTyping(typists, 1_000 + TYPING_HOLDS_MS)).toEqual([])
    expect(heard(typists, { ...ada, typing: false }, 1_001)).toEqual([])
  })

  test('of one person counts once; of very many, some', () => {
    let typists: readonly Typist[] = heard(heard([], ada, 0), ada, 10)
    expect(typists).toHaveLength(1)
    for (let index = 0; index < 50; index += 1) {
      typists = heard(typists, { ...ada, userId: `u${index}` }, 10)
    }
    expect(typists).toHaveLength(20)
  })
})

test('[T1] a room`s name becomes one that a topic can hold', () => {
  expect(roomNameOf(' Tea  Kitchen ')).toBe('tea-kitchen')
  expect(roomNameOf('茶水间')).toBe('茶水间')
  expect(chatTopic('a')).toBe('chat-room-a')
  for (const name of ['', 'a:b', 'x'.repeat(41), 'a/b', '<b>']) {
    expect(roomNameOf(name), name).toBeNull()
  }
})
