import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { en } from './en.js'
import { preferredLanguage, wordsOf } from './words.js'
import { zh } from './zh.js'

const placeholders = (text: string): string[] => [...text.matchAll(/\{(\w+)\}/g)].map(String).sort()

describe('the two dictionaries', () => {
  test('have the same keys, none of them empty', () => {
    expect(Object.keys(zh).sort()).toEqual(Object.keys(en).sort())
    for (const [key, text] of Object.entries({ ...en, ...zh })) expect(text, key).not.toBe('')
  })

  test('fill in the same values', () => {
    for (const [key, text] of Object.entries(en)) {
      // English leaves the number out where it is one of something.
      const english = placeholders(text)
      const chinese = placeholders(zh[key as keyof typeof en])
      expect(chinese, key).toEqual(english)
    }
  })

  test('have as many names in each list', () => {
    for (const key of ['names.adjectives', 'names.animals'] as const) {
      expect(zh[key].split(',')).toHaveLength(en[key].split(',').length)
    }
  })

  test('hold every text: none of the page`s modules has one of its own', () => {
    const folder = fileURLToPath(new URL('..', import.meta.url))
    const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(
      (file) => file.endsWith('.ts') && !file.endsWith('.test.ts') && !file.includes('i18n'),
    )
    expect(files.length).toBeGreaterThan(20)
    for (const file of files) {
      const code = readFileSync(join(folder, file), 'utf8').replace(/\/\*[^]*?\*\/|\/\/.*$/gm, '')
      expect(code, file).not.toMatch(/\p{Script=Han}/u)
      // A sentence in quotes as the content of an element.
      expect(code, file).not.toMatch(/(textContent = |setText\([^,]+, )['"`][A-Z][a-z]/)
    }
  })

  test('have no key that nothing uses', () => {
    const folder = fileURLToPath(new URL('..', import.meta.url))
    const code = readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter(
        (file) => file.endsWith('.ts') && !file.endsWith('.test.ts') && !file.includes('i18n'),
      )
      .map((file) => readFileSync(join(folder, file), 'utf8'))
      .join('\n')
    const composed = /^(reason|room|status|inspector\.(sub|gap|queued|sent))\b/
    const unused = Object.keys(en).filter((key) => {
      const base = key.replace(/\.(one|other)$/, '')
      return !composed.test(key) && !code.includes(`'${key}'`) && !code.includes(`'${base}'`)
    })
    expect(unused).toEqual([])
  })
})

describe('words', () => {
  test('a number chooses the form, and has thousands separators', () => {
    const words = wordsOf('en')
    expect(words.counted('chat.newBelow', 1)).toBe('1 new message below')
    expect(words.counted('chat.newBelow', 1234)).toBe('1,234 new messages below')
    expect(wordsOf('zh').counted('chat.newBelow', 1)).toBe('下面有 1 条新消息')
  })

  test('a value is put in as it is', () => {
    expect(wordsOf('en').text('typing.one', { first: '{second}' })).toBe('{second} is typing …')
  })

  test.each([
    ['zh', ['en'], 'zh'],
    [null, ['fr-FR', 'zh-Hans-CN', 'en'], 'zh'],
    [null, ['fr'], 'en'],
    ['xx', [], 'en'],
  ])('of %s and %s the choice is %s', (stored, browser, expected) => {
    expect(preferredLanguage(stored, browser)).toBe(expected)
  })
})
