import type { Words } from './i18n/words.js'

/** Hours and minutes. */
export function timeOf(at: number, words: Words): string {
  return new Intl.DateTimeFormat(words.locale, { hour: '2-digit', minute: '2-digit' }).format(at)
}

/** Everything about an instant, for titles. */
export function instantOf(at: number, words: Words): string {
  return new Intl.DateTimeFormat(words.locale, {
    dateStyle: 'full',
    timeStyle: 'medium',
  }).format(at)
}

/** Today, yesterday, or the date. */
export function dayOf(at: number, now: number, words: Words): string {
  if (isSameDay(at, now)) return words.text('chat.today')
  const yesterday = new Date(now)
  yesterday.setDate(yesterday.getDate() - 1)
  if (isSameDay(at, yesterday.getTime())) return words.text('chat.yesterday')
  return new Intl.DateTimeFormat(words.locale, { dateStyle: 'full' }).format(at)
}

export function isSameDay(one: number, other: number): boolean {
  const [a, b] = [new Date(one), new Date(other)]
  return (
    a.getDate() === b.getDate() &&
    a.getMonth() === b.getMonth() &&
    a.getFullYear() === b.getFullYear()
  )
}

/** A length of time with the unit that fits it. */
export function durationOf(ms: number, words: Words): string {
  const seconds = Math.max(0, ms) / 1_000
  if (seconds < 60) return words.text('unit.s', { count: Math.floor(seconds) })
  if (seconds < 3_600) return words.text('unit.min', { count: Math.floor(seconds / 60) })
  return words.text('unit.h', { count: decimal(seconds / 3_600, 1, words) })
}

export function millisecondsOf(ms: number, words: Words): string {
  return words.text('unit.ms', { count: decimal(ms, ms < 10 ? 1 : 0, words) })
}

export function mebibytesOf(bytes: number, words: Words): string {
  return words.text('unit.mib', { count: decimal(bytes / 2 ** 20, 0, words) })
}

/** A share as a percentage; 1 is 100 %. */
export function shareOf(share: number, words: Words): string {
  return new Intl.NumberFormat(words.locale, {
    style: 'percent',
    maximumFractionDigits: share < 0.1 ? 1 : 0,
  }).format(share)
}

/** Whole seconds until an instant, never less than 0; what a countdown shows. */
export function secondsUntil(at: number, now: number): number {
  return Math.max(0, Math.ceil((at - now) / 1_000))
}

function decimal(value: number, digits: number, words: Words): string {
  return new Intl.NumberFormat(words.locale, { maximumFractionDigits: digits }).format(value)
}

/** A stretch of text, or a link where `href` is set. */
export interface TextPart {
  readonly text: string
  readonly href?: string
}

const LINK = /https?:\/\/[^\s<>"'`，。；！？、（）「」《》]+/giu
/** What stands at the end of a link mostly belongs to the sentence around it. */
const TRAILING = /[.,;:!?)\]}]+$/

/** Splits a text into plain stretches and links: only http and https, and only what parses. */
export function linkParts(text: string): TextPart[] {
  const parts: TextPart[] = []
  let end = 0
  for (const match of text.matchAll(LINK)) {
    const address = match[0].replace(TRAILING, '')
    if (!URL.canParse(address)) continue
    if (match.index > end) parts.push({ text: text.slice(end, match.index) })
    parts.push({ text: address, href: new URL(address).href })
    end = match.index + address.length
  }
  if (end < text.length) parts.push({ text: text.slice(end) })
  return parts
}

/** Up to two characters that stand for a name in a small circle. */
export function initialsOf(name: string): string {
  const words = name
    .trim()
    .split(/\s+/)
    .filter((word) => word !== '')
  const [first, second] = words
  if (first === undefined) return '?'
  const initials = second === undefined ? [first] : [first, second]
  return initials
    .map((word) => Array.from(word)[0] ?? '')
    .join('')
    .toUpperCase()
}
