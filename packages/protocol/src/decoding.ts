import { RealtimeError } from './errors.js'
import type { Gap, Position } from './position.js'
import { isMessageId, kindOf } from './topic.js'

/** What arrived, before it is believed. */
export type Fields = Readonly<Record<string, unknown>>

export function malformed(message: string): RealtimeError {
  return new RealtimeError('invalid_message', message)
}

/** The fields of an object from the wire. @throws RealtimeError `invalid_message` */
export function fieldsOf(value: unknown, what: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw malformed(`${what} must be an object, got ${kindOf(value)}`)
  }
  return value as Fields
}

/** A whole number of at least `min`. @throws RealtimeError `invalid_message` */
export function integerOf(value: unknown, name: string, min: number): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < min) {
    const got = typeof value === 'number' ? String(value) : kindOf(value)
    throw malformed(`${name} must be a whole number of at least ${min}, got ${got}`)
  }
  return value
}

export function stringOf(value: unknown, name: string, maxLength: number = Infinity): string {
  if (typeof value !== 'string') throw malformed(`${name} must be a string, got ${kindOf(value)}`)
  if (value.length > maxLength) {
    throw malformed(`${name} has ${value.length} characters, at most ${maxLength} are possible`)
  }
  return value
}

export function numberOf(value: unknown, name: string): number {
  if (typeof value !== 'number' || !Number.isFinite(value)) {
    throw malformed(`${name} must be a finite number, got ${kindOf(value)}`)
  }
  return value
}

export function booleanOf(value: unknown, name: string): boolean {
  if (typeof value !== 'boolean')
    throw malformed(`${name} must be true or false, got ${kindOf(value)}`)
  return value
}

export function messageIdOf(value: unknown, name: string): string {
  if (!isMessageId(value)) throw malformed(`${name} must be 1 to 64 of [A-Za-z0-9_-]`)
  return value
}

export function arrayOf(value: unknown, name: string): readonly unknown[] {
  if (!Array.isArray(value)) throw malformed(`${name} must be an array, got ${kindOf(value)}`)
  return value
}

/** The longest epoch that is accepted; ours have 22 characters. */
const MAX_EPOCH_LENGTH = 128

export function positionOf(value: unknown, name: string): Position {
  const fields = fieldsOf(value, name)
  return {
    epoch: stringOf(fields['epoch'], `${name}.epoch`, MAX_EPOCH_LENGTH),
    seq: integerOf(fields['seq'], `${name}.seq`, 0),
  }
}

export function gapOf(value: unknown): Gap {
  const fields = fieldsOf(value, 'gap')
  const reason = fields['reason']
  if (reason !== 'expired' && reason !== 'epoch_changed') {
    throw malformed('gap.reason must be expired or epoch_changed')
  }
  return {
    from: seqOrNull(fields['from'], 'gap.from'),
    to: seqOrNull(fields['to'], 'gap.to'),
    epoch: stringOf(fields['epoch'], 'gap.epoch', MAX_EPOCH_LENGTH),
    reason,
  }
}

function seqOrNull(value: unknown, name: string): number | null {
  return value === null ? null : integerOf(value, name, 0)
}
