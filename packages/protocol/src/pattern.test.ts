import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compilePattern, patternCovers } from './pattern.js'
import { parseTopic } from './topic.js'

const matches = (pattern: string, topic: string) => compilePattern(pattern).match(parseTopic(topic))

describe('compilePattern', () => {
  test.each([
    ['public:news', 'public:news', {}],
    ['{a}', 'x', { a: 'x' }],
    ['user:{userId}', 'user:42', { userId: '42' }],
    ['document:{docId}:changes', 'document:7:changes', { docId: '7' }],
    ['chat-room-{room}', 'chat-room-1.2', { room: '1.2' }],
    ['{a}-room', 'big-room-room', { a: 'big-room' }],
    ['mail:{box}@home', 'mail:a@b@home', { box: 'a@b' }],
    ['{a}:{b}:{c}', '1:2:3', { a: '1', b: '2', c: '3' }],
    ['public:*', 'public:a', {}],
    ['public:*', 'public:a:b:c', {}],
    ['chat-room-*', 'chat-room-1:typing', {}],
    ['*', 'anything:at:all', {}],
    ['{ns}:*', 'a:b:c', { ns: 'a' }],
    ['c++:{name}', 'c++:x', { name: 'x' }],
    ['cafe\u0301:{x}', 'caf\u00e9:1', { x: '1' }],
    ['{__proto__}:{constructor}', 'a:b', { ['__proto__']: 'a', constructor: 'b' }],
  ])('[T2] %s matches %s', (pattern, topic, params) => {
    const found = matches(pattern, topic)
    expect(Object.entries(found ?? {})).toEqual(Object.entries(params))
    expect(found).not.toBeNull()
  })

  test.each([
    ['public:news', 'public:new'],
    ['public:news', 'public:newsx'],
    ['public:news', 'xpublic:news'],
    ['a.b', 'axb'],
    ['c++', 'cc'],
    ['c++', 'ccc'],
    ['a|b', 'a'],
    ['user:{userId}', 'user:1:x'],
    ['user:{userId}', 'user'],
    ['{a}', 'x:y'],
    ['chat-room-{room}', 'chat-room-'],
    ['chat-room-{room}', 'chat-room-1:x'],
    ['document:{docId}:changes', 'document:7:8:changes'],
    ['public:*', 'public'],
    ['public:*', 'publicx'],
    ['chat-room-*', 'chat-room-'],
  ])('[T2] %s does not match %s', (pattern, topic) => {
    expect(matches(pattern, topic)).toBeNull()
  })

  test.each([
    ['', /empty/],
    ['a::b', /empty segment/],
    [':a', /empty segment/],
    ['a:', /empty segment/],
    ['a b', /U\+0020/],
    ['a(b', /"\("/],
    ['**', /end only/],
    ['a*b', /end only/],
    ['*:a', /end only/],
    ['{a}{b}', /at most one/],
    ['x{a}-{b}:c', /at most one/],
    ['{a}:{a}', /differ/],
    ['{}', /no name/],
    ['{1}', /no name/],
    ['{a b}', /no name/],
    ['{a:b}', /no name/],
    ['{\u00e9}', /no name/],
    ['{a', /"\{"/],
    ['a}', /"\}"/],
    ['{a{b}}', /at most one/],
    ['user:{id}*', /directly before \*/],
    ['a'.repeat(201), /at most 200/],
  ])('[T2] %s is refused', (pattern, why) => {
    expect(() => compilePattern(pattern)).toThrow(why)
    expect(() => compilePattern(pattern)).toThrow(
      expect.objectContaining({ code: 'invalid_options' }),
    )
  })

  test.each([[undefined], [null], [/a/], [7]])(
    '[T2] what is no string is refused (%#)',
    (value) => {
      expect(() => compilePattern(value)).toThrow(
        expect.objectContaining({ code: 'invalid_options' }),
      )
    },
  )

  test('[T2] every sign that a topic may hold is literal', () => {
    const literal = fc.string({
      unit: fc.constantFrom(...Array.from('abx_-.@/+=~|1'), '\u00e9', '\u4e2d'),
      minLength: 1,
      maxLength: 12,
    })
    fc.assert(
      fc.property(literal, literal, (pattern, topic) => {
        expect(matches(pattern, topic) !== null).toBe(
          pattern.normalize('NFC') === topic.normalize('NFC'),
        )
        expect(matches(`${pattern}:{rest}`, `${pattern}:${topic}`)).toEqual(
          expect.objectContaining({ rest: topic.normalize('NFC') }),
        )
      }),
    )
  })

  test('[T2] a name never reaches across a colon, a star does', () => {
    const segment = fc.string({
      unit: fc.constantFrom(...Array.from('ab1-.')),
      minLength: 1,
      maxLength: 6,
    })
    fc.assert(
      fc.property(fc.array(segment, { minLength: 1, maxLength: 5 }), (segments) => {
        const topic = segments.join(':')
        expect(matches('{only}', topic) !== null).toBe(segments.length === 1)
        expect(matches('*', topic)).not.toBeNull()
        expect(matches(`${segments[0]}:*`, topic) !== null).toBe(segments.length > 1)
      }),
    )
  })
})

describe('patternCovers', () => {
  test.each([
    ['*', 'anything:{x}:*'],
    ['a:*', 'a:{x}'],
    ['a:*', 'a:b:c'],
    ['a:*', 'a:b*'],
    ['{x}', 'a'],
    ['{x}', '{y}'],
    ['{x}', 'a-{y}'],
    ['a-{x}', 'a-{y}-b'],
    ['{x}:{y}', 'user:{id}'],
    ['caf\u00e9', 'cafe\u0301'],
  ])('[T2] %s covers %s', (outer, inner) => {
    expect(patternCovers(compilePattern(outer), compilePattern(inner))).toBe(true)
  })

  test.each([
    ['a', '{x}'],
    ['a:*', 'a'],
    ['a:*', '*'],
    ['a:*', 'a*'],
    ['{x}', 'a*'],
    ['{x}:{y}', 'a:*'],
    ['a-{x}', '{y}-b'],
    ['a.b', 'axb'],
    ['a:{x}', 'b:{x}'],
  ])('[T2] %s does not cover %s', (outer, inner) => {
    expect(patternCovers(compilePattern(outer), compilePattern(inner))).toBe(false)
  })
})
