import { applySchema } from '@bmt-central/realtime-protocol'
import { expect, test } from 'vitest'
import { chatSchema, MAX_TEXT_LENGTH, typingSchema } from './chat-schemas.js'

test('[R9] what a chat message holds besides text and name is not passed on', () => {
  expect(applySchema(chatSchema, { text: 'hi', name: 'Ada', admin: true })).toEqual({
    text: 'hi',
    name: 'Ada',
  })
})

test.each<[string, unknown, string]>([
  ['nothing', null, 'must be an object'],
  ['blank text', { text: ' \n', name: 'Ada' }, 'at text: must not be empty'],
  ['long text', { text: 'x'.repeat(MAX_TEXT_LENGTH + 1), name: 'Ada' }, 'at most 4000'],
  ['no name', { text: 'hi' }, 'at name'],
  ['a long name', { text: 'hi', name: 'x'.repeat(41) }, 'at name'],
])('a chat message with %s is refused', (_what, payload, part) => {
  expect(() => applySchema(chatSchema, payload)).toThrow(part)
})

test('typing says who and whether', () => {
  expect(applySchema(typingSchema, { name: 'Ada', typing: true, x: 1 })).toEqual({
    name: 'Ada',
    typing: true,
  })
  expect(() => applySchema(typingSchema, { name: 'Ada', typing: 1 })).toThrow('at typing')
})
