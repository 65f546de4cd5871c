import { en } from './en.js'
import { zh } from './zh.js'

export type Language = 'en' | 'zh'
export type TextKey = keyof typeof en

/** Keys that are chosen by a number: `rooms.unread` of `rooms.unread.one` and `.other`. */
export type CountKey = TextKey extends infer Key
  ? Key extends `${infer Base}.other`
    ? Base
    : never
  : never

export type Values = Readonly<Record<string, string | number>>

/** One language's texts. Everything that a person reads comes from here. */
export interface Words {
  readonly language: Language
  /** For `Intl`. */
  readonly locale: string
  text(key: TextKey, values?: Values): string
  /** The form that fits `count`, which is filled in with thousands separators. */
  counted(key: CountKey, count: number, values?: Values): string
  number(value: number): string
}

const DICTIONARIES: Readonly<Record<Language, Readonly<Record<TextKey, string>>>> = { en, zh }
const LOCALES: Readonly<Record<Language, string>> = { en: 'en-GB', zh: 'zh-CN' }

export function wordsOf(language: Language): Words {
  const dictionary = DICTIONARIES[language]
  const locale = LOCALES[language]
  const plural = new Intl.PluralRules(locale)
  const numbers = new Intl.NumberFormat(locale)
  const text = (key: TextKey, values: Values = {}): string => fill(dictionary[key], values)
  return {
    language,
    locale,
    text,
    counted(key, count, values) {
      const form = plural.select(count) === 'one' ? 'one' : 'other'
      return text(`${key}.${form}` as TextKey, { ...values, count: numbers.format(count) })
    },
    number: (value) => numbers.format(value),
  }
}

/** The language that was chosen before, else the first one of the browser's that we have. */
export function preferredLanguage(stored: string | null, browser: readonly string[]): Language {
  if (stored === 'en' || stored === 'zh') return stored
  for (const tag of browser) {
    const language = tag.toLowerCase().split('-')[0]
    if (language === 'en' || language === 'zh') return language
  }
  return 'en'
}

function fill(pattern: string, values: Values): string {
  return pattern.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = values[name]
    return value === undefined ? whole : String(value)
  })
}
