import type { Schema, SchemaIssue, SchemaResult } from '@bmt-central/realtime-protocol'

/** The longest text of a chat message, in UTF-16 units as a page counts them. */
export const MAX_TEXT_LENGTH = 4_000
const MAX_NAME_LENGTH = 40

/** What a chat room's publications hold. Who wrote it is `from`, which the server knows better. */
export interface ChatPayload {
  readonly text: string
  /** The name that the writer goes by; nobody checks it. */
  readonly name: string
}

/** Somebody is typing, or has stopped. */
export interface TypingPayload {
  readonly name: string
  readonly typing: boolean
}

export const chatSchema: Schema<unknown, ChatPayload> = schemaOf((value) => {
  const { text, name } = value
  if (typeof text !== 'string' || text.trim() === '') return issue('text', 'must not be empty')
  if (text.length > MAX_TEXT_LENGTH) {
    return issue('text', `has ${text.length} characters, at most ${MAX_TEXT_LENGTH} are taken`)
  }
  if (!isName(name)) return issue('name', `must be 1 to ${MAX_NAME_LENGTH} characters`)
  return { value: { text, name } }
})

export const typingSchema: Schema<unknown, TypingPayload> = schemaOf((value) => {
  const { name, typing } = value
  if (!isName(name)) return issue('name', `must be 1 to ${MAX_NAME_LENGTH} characters`)
  if (typeof typing !== 'boolean') return issue('typing', 'must be true or false')
  return { value: { name, typing } }
})

/** What passes is rebuilt from the known fields, so that nothing else is stored or passed on. */
function schemaOf<Output>(
  check: (value: Readonly<Record<string, unknown>>) => SchemaResult<Output>,
): Schema<unknown, Output> {
  return {
    '~standard': {
      version: 1,
      vendor: 'playground',
      validate: (value) =>
        typeof value === 'object' && value !== null
          ? check(value as Record<string, unknown>)
          : { issues: [{ message: 'must be an object' }] },
    },
  }
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value.trim() !== '' && value.length <= MAX_NAME_LENGTH
}

function issue(field: string, message: string): { issues: SchemaIssue[] } {
  return { issues: [{ message, path: [field] }] }
}
