import { RealtimeError } from './errors.js'

/** Socket.IO's parser ends the link at the 11th attachment of a packet. */
export const MAX_BINARY_PARTS = 10

/** A payload as it is kept and compared: JSON text, with Socket.IO's placeholders for its bytes. */
export interface EncodedPayload {
  readonly json: string
  /** Copies of its `Uint8Array` parts, in the order of the placeholders. */
  readonly parts: readonly Uint8Array[]
}

/** What may be in a payload. */
export interface PayloadLimits {
  /** Levels of nesting; a scalar is 0, each array or object 1 more [L5]. */
  readonly maxDepth: number
  /** Whether the channel's rule says `binary: true`. */
  readonly binary: boolean
  /** The payload is what `JSON.parse` gave: it cannot contain itself. */
  readonly parsed?: boolean
}

/**
 * The JSON text of a payload, made once; a copy, so that what the caller changes later changes
 * nothing that waits or is retained.
 * @throws RealtimeError `validation_failed` (no JSON value, a cycle, bytes where the rule does not
 *   allow them, more than 10 parts, an object with `_placeholder: true`) · `invalid_message` (deeper
 *   than `maxDepth` [L5])
 */
export function encodePayload(payload: unknown, limits: PayloadLimits): EncodedPayload {
  try {
    return encode(payload, limits)
  } catch (error) {
    if (error instanceof RealtimeError) throw error
    // A getter, a toJSON method or a proxy of the application's threw, or JSON knows no such value.
    throw new RealtimeError('validation_failed', 'the payload is no JSON value', { cause: error })
  }
}

function encode(payload: unknown, limits: PayloadLimits): EncodedPayload {
  const walk: Walk = { limits, path: new Set(), special: false }
  inspect(payload, 0, walk)
  const parts: Uint8Array[] = []
  const json = (walk.special ? stringifySpecial(payload, parts) : JSON.stringify(payload)) as
    string | undefined
  if (parts.length > 0 && !limits.binary) {
    throw invalid(
      'the payload holds bytes, and the rule of the channel does not say `binary: true`',
    )
  }
  if (parts.length > MAX_BINARY_PARTS) {
    throw invalid(
      `the payload has ${parts.length} binary parts, at most ${MAX_BINARY_PARTS} are possible`,
    )
  }
  if (json === undefined) throw invalid('the payload is no JSON value')
  // What a toJSON method returned was not seen by the first look.
  if (walk.special) inspect(JSON.parse(json), 0, { ...walk, written: true })
  return { json, parts }
}

/** The payload behind its encoded form. */
export function decodePayload(encoded: EncodedPayload): unknown {
  if (encoded.parts.length === 0) return JSON.parse(encoded.json)
  return JSON.parse(encoded.json, (_key, value: unknown) => {
    if (typeof value !== 'object' || value === null) return value
    const { _placeholder: placeholder, num } = value as { _placeholder?: unknown; num?: unknown }
    return placeholder === true && typeof num === 'number' ? encoded.parts[num] : value
  })
}

/** The length of a string in UTF-8. */
export function utf8Length(text: string): number {
  let bytes = text.length
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index)
    if (unit < 0x80) continue
    // A surrogate pair is 4 bytes for 2 units, a lone surrogate is replaced by 3 bytes.
    const pair = unit >= 0xd800 && unit < 0xdc00 && isLowSurrogate(text.charCodeAt(index + 1))
    bytes += unit < 0x800 ? 1 : 2
    if (pair) index += 1
  }
  return bytes
}

function isLowSurrogate(unit: number): boolean {
  return unit >= 0xdc00 && unit < 0xe000
}

interface Walk {
  readonly limits: PayloadLimits
  /** The objects that the one at hand is inside of. */
  readonly path: Set<object>
  /** Whether there are bytes or toJSON methods, which plain `JSON.stringify` would not do right. */
  special: boolean
  /** It is our own JSON that is looked at: placeholders in it stand for bytes. */
  readonly written?: boolean
}

function inspect(value: unknown, depth: number, walk: Walk): void {
  if (typeof value !== 'object' || value === null) return
  if (isBytes(value) || typeof (value as { toJSON?: unknown }).toJSON === 'function') {
    walk.special = true
    return
  }
  if (isPlaceholder(value)) {
    if (walk.written === true) return
    throw foreignPlaceholder()
  }
  if (depth + 1 > walk.limits.maxDepth) {
    throw new RealtimeError(
      'invalid_message',
      `the payload is nested deeper than ${walk.limits.maxDepth} levels`,
    )
  }
  const { parsed } = walk.limits
  if (parsed !== true) {
    if (walk.path.has(value)) throw invalid('the payload contains itself')
    walk.path.add(value)
  }
  if (Array.isArray(value)) for (const item of value as unknown[]) inspect(item, depth + 1, walk)
  else
    for (const key of Object.keys(value))
      inspect((value as Record<string, unknown>)[key], depth + 1, walk)
  if (parsed !== true) walk.path.delete(value)
}

/** JSON with placeholders for bytes, wherever they come from; the bytes are copied into `parts`. */
function stringifySpecial(payload: unknown, parts: Uint8Array[]): string | undefined {
  return JSON.stringify(
    payload,
    function (this: Record<string, unknown>, key: string, value: unknown) {
      // A Buffer's own toJSON has turned `value` into an array of numbers: look at what stands there.
      const raw = this[key]
      const bytes = isBytes(raw) ? raw : value
      if (isBytes(bytes)) return { _placeholder: true, num: parts.push(copyOf(bytes)) - 1 }
      if (isPlaceholder(value)) throw foreignPlaceholder()
      return value
    },
  ) as string | undefined
}

function isPlaceholder(value: unknown): boolean {
  return (
    typeof value === 'object' &&
    value !== null &&
    (value as { _placeholder?: unknown })._placeholder === true
  )
}

function foreignPlaceholder(): RealtimeError {
  return invalid(
    'the payload has an object with `_placeholder: true`, which Socket.IO takes for an attachment',
  )
}

function isBytes(value: unknown): value is ArrayBufferView | ArrayBuffer {
  if (typeof value !== 'object' || value === null) return false
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return true
  const tag = Object.prototype.toString.call(value)
  if (tag === '[object Blob]' || tag === '[object File]') {
    throw invalid('the payload holds a Blob: send its bytes as a Uint8Array')
  }
  return false
}

/** Never `slice()`: a Buffer's shares its memory. */
function copyOf(bytes: ArrayBufferView | ArrayBuffer): Uint8Array {
  if (!ArrayBuffer.isView(bytes)) return new Uint8Array(bytes.slice(0))
  return new Uint8Array(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength))
}

function invalid(message: string): RealtimeError {
  return new RealtimeError('validation_failed', message)
}
