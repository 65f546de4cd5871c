import { RealtimeError } from './errors.js'

/** The address of a stream, after `parseTopic`: NFC, checked [T1]. */
export type Topic = string

const MAX_TOPIC_CODE_POINTS = 200
const MAX_USER_ID_CODE_POINTS = 128
/** A code point in NFC comes from at most 4 code points of 2 units: longer input cannot shrink to 200. */
const MAX_RAW_UNITS = MAX_TOPIC_CODE_POINTS * 8

const ASCII_TOPIC = /^[A-Za-z0-9_\-.@/+=~|]+(?::[A-Za-z0-9_\-.@/+=~|]+)*$/
const SEGMENT_CHARACTER = /^[\p{L}\p{M}\p{Nd}_\-.@/+=~|]$/u

/**
 * The topic behind a value from outside [T1]: normalised to NFC first, then checked.
 * @throws RealtimeError `invalid_message` (no string) · `invalid_topic`
 */
export function parseTopic(value: unknown): Topic {
  if (typeof value !== 'string') {
    throw new RealtimeError('invalid_message', `topic must be a string, got ${kindOf(value)}`)
  }
  if (value.length <= MAX_TOPIC_CODE_POINTS && ASCII_TOPIC.test(value)) return value
  const fault = topicFault(value)
  if (fault !== null) throw new RealtimeError('invalid_topic', fault)
  return value.normalize('NFC')
}

function topicFault(value: string): string | null {
  if (value.length === 0) return 'a topic must not be empty'
  if (value.length > MAX_RAW_UNITS) return tooLong(value.length)
  const topic = value.normalize('NFC')
  let count = 0
  for (const character of topic) {
    count += 1
    if (character !== ':' && !SEGMENT_CHARACTER.test(character)) {
      return `a topic must not contain ${describeCharacter(character)}`
    }
  }
  if (count > MAX_TOPIC_CODE_POINTS) return tooLong(count)
  if (topic.split(':').includes('')) return `topic ${JSON.stringify(topic)} has an empty segment`
  return null
}

function tooLong(length: number): string {
  return `a topic has at most ${MAX_TOPIC_CODE_POINTS} characters, this one has ${length}`
}

/** Why `value` is no user id [T3], with the character; null where it is one. */
export function userIdFault(value: unknown): string | null {
  if (typeof value !== 'string') return `a user id must be a string, got ${kindOf(value)}`
  if (value.length === 0) return 'a user id must not be empty'
  if (value.length > MAX_USER_ID_CODE_POINTS * 2) return userIdTooLong(value.length)
  let count = 0
  for (const character of value) {
    count += 1
    if (!SEGMENT_CHARACTER.test(character)) {
      return `a user id must not contain ${describeCharacter(character)}`
    }
  }
  if (count > MAX_USER_ID_CODE_POINTS) return userIdTooLong(count)
  if (value.normalize('NFC') !== value) return 'a user id must be in Unicode normal form NFC'
  return null
}

function userIdTooLong(length: number): string {
  return `a user id has at most ${MAX_USER_ID_CODE_POINTS} characters, this one has ${length}`
}

const ID = /^[A-Za-z0-9_-]{1,64}$/

/** Whether `value` may be a message id [W8]: 1 to 64 of [A-Za-z0-9_-]. */
export function isMessageId(value: unknown): value is string {
  return typeof value === 'string' && ID.test(value)
}

function describeCharacter(character: string): string {
  const code = (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')
  return /^[\p{C}\p{Z}]$/u.test(character) ? `U+${code}` : `"${character}" (U+${code})`
}

/** How an unexpected value is named in messages: its kind, never its content. */
export function kindOf(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'an array'
  return value === undefined ? 'nothing' : `${typeof value}`
}
