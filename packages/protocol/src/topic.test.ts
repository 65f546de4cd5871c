import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { RealtimeError } from './errors.js'
import { isMessageId, kindOf, parseTopic, userIdFault } from './topic.js'

const ALLOWED = /^[\p{L}\p{M}\p{Nd}_\-.@/+=~|]$/u
const anyText = fc.string({ unit: 'binary', maxLength: 300 })
/** Text that is a topic often enough: letters with and without marks, digits, the signs. */
const topicLike = fc.string({
  unit: fc.constantFrom(
    ...Array.from('ab1_-.@/+=~|:'),
    '\u00e9',
    'e\u0301',
    '\u4e2d',
    '\u0301',
    '\ud83d\ude00',
  ),
  maxLength: 40,
})

function codeOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    if (error instanceof RealtimeError) return error.code
    throw error
  }
  return 'none'
}

describe('parseTopic', () => {
  test.each([
    'a',
    'public:news',
    'user:42:notifications',
    'chat-room-1',
    'a.b/c+d=e~f|g@h_i',
    '\u4e2d\u6587:\u0627\u0644\u0639\u0631\u0628\u064a\u0629:\u0939\u093f\u0928\u094d\u0926\u0940',
    '\u0664\u0662',
    '\ud835\udd38:x',
  ])('[T1] %s is a topic and stays as it is', (topic) => {
    expect(parseTopic(topic)).toBe(topic)
  })

  test.each([
    ['nothing', '', /empty/],
    ['an empty segment between', 'a::b', /empty segment/],
    ['an empty first segment', ':a', /empty segment/],
    ['an empty last segment', 'a:', /empty segment/],
    ['a colon alone', ':', /empty segment/],
    ['a space', 'a b', /U\+0020/],
    ['a star', 'public:*', /"\*" \(U\+002A\)/],
    ['braces', '{x}', /"\{"/],
    ['a NUL', 'a\u0000', /U\+0000/],
    ['a line feed at the end', 'a\n', /U\+000A/],
    ['a zero-width space', 'a\u200bb', /U\+200B/],
    ['a direction override', 'a\u202eb', /U\+202E/],
    ['a byte order mark', '\ufeffa', /U\+FEFF/],
    ['half a surrogate pair', 'a\ud800', /U\+D800/],
    ['an emoji', '\ud83d\ude00', /U\+1F600/],
    ['a number that is no decimal digit', '\u2160', /U\+2160/],
    ['a full-width colon', 'a\uff1ab', /U\+FF1A/],
    ['a sign that composes to another', 'a=\u0338', /U\+2260/],
  ])('[T1] %s is invalid_topic, and the message names it', (_what, topic, named) => {
    expect(() => parseTopic(topic)).toThrow(named)
    expect(codeOf(() => parseTopic(topic))).toBe('invalid_topic')
  })

  test.each([[undefined], [null], [42], [{}], [['a']], [true], [Symbol('a')], [new String('a')]])(
    '[T1] what is no string is invalid_message (case %#)',
    (value) => {
      expect(codeOf(() => parseTopic(value))).toBe('invalid_message')
    },
  )

  test('[T1] the length is counted in code points, after normalisation', () => {
    const clef = '\ud834\udd22' // no letter, two units
    const letter = '\ud835\udd38' // a letter of two units
    expect(parseTopic('a'.repeat(200))).toHaveLength(200)
    expect(parseTopic(letter.repeat(200))).toHaveLength(400)
    expect(parseTopic('e\u0301'.repeat(200))).toBe('\u00e9'.repeat(200))
    // U+1F82 comes from four code points: the longest input that can still become a topic.
    expect(parseTopic('\u03b1\u0313\u0300\u0345'.repeat(200))).toBe('\u1f82'.repeat(200))
    for (const long of ['a'.repeat(201), letter.repeat(201), 'e\u0301'.repeat(201)]) {
      expect(() => parseTopic(long)).toThrow(/at most 200 characters, this one has 201/)
    }
    // U+0958 is one code point that NFC takes apart.
    expect(() => parseTopic('\u0958'.repeat(101))).toThrow(/this one has 202/)
    expect(codeOf(() => parseTopic('a'.repeat(1_000_000)))).toBe('invalid_topic')
    expect(codeOf(() => parseTopic(clef))).toBe('invalid_topic')
  })

  test('[T1] what comes out is NFC, and parsing it again changes nothing', () => {
    fc.assert(
      fc.property(topicLike, (text) => {
        fc.pre(codeOf(() => parseTopic(text)) === 'none')
        const topic = parseTopic(text)
        expect(topic).toBe(text.normalize('NFC'))
        expect(parseTopic(topic)).toBe(topic)
        expect(parseTopic(text.normalize('NFD'))).toBe(topic)
      }),
    )
  })

  test('[T1] exactly the texts of the rule pass', () => {
    fc.assert(
      fc.property(fc.oneof(anyText, topicLike), (text) => {
        const characters = Array.from(text.normalize('NFC'))
        const segments = text.normalize('NFC').split(':')
        const valid =
          characters.length <= 200 &&
          segments.every((segment) => segment !== '') &&
          characters.every((character) => character === ':' || ALLOWED.test(character))
        expect(codeOf(() => parseTopic(text))).toBe(valid ? 'none' : 'invalid_topic')
      }),
      { numRuns: 1_000 },
    )
  })

  test('[T1] two spellings are one topic; look-alikes are two', () => {
    expect(parseTopic('caf\u00e9')).toBe(parseTopic('cafe\u0301'))
    expect(parseTopic('\u212b')).toBe('\u00c5')
    expect(parseTopic('public:x')).not.toBe(parseTopic('\u0440ublic:x'))
    // NFC, not NFKC: a full-width letter stays what it is.
    expect(parseTopic('\uff41')).toBe('\uff41')
  })
})

describe('userIdFault', () => {
  test.each([
    '1',
    'alice',
    'a.b@c/d+e=f~g|h_-',
    '\u4e2d',
    'a'.repeat(128),
    '\ud835\udd38'.repeat(128),
  ])('[T3] %s may be a user id', (id) => {
    expect(userIdFault(id)).toBeNull()
    expect(codeOf(() => parseTopic(`user:${id}`))).toBe('none')
  })

  test.each([
    ['', /empty/],
    ['a:b', /":" \(U\+003A\)/],
    ['auth0|a b', /U\+0020/],
    ['a#b', /"#" \(U\+0023\)/],
    ['a\u200b', /U\+200B/],
    ['\ud800', /U\+D800/],
    ['jose\u0301', /NFC/],
    ['a'.repeat(129), /at most 128 characters, this one has 129/],
    ['\ud835\udd38'.repeat(129), /at most 128/],
  ])('[T3] %j may not, and the fault says why', (id, why) => {
    expect(userIdFault(id)).toMatch(why)
  })

  test.each([[undefined], [null], [42], [{}]])('[T3] %j is no string', (value) => {
    expect(userIdFault(value)).toMatch(/must be a string/)
  })

  test('[T3] exactly the normalised texts of a topic segment pass', () => {
    fc.assert(
      fc.property(fc.oneof(anyText, topicLike), (text) => {
        const characters = Array.from(text)
        const valid =
          characters.length >= 1 &&
          characters.length <= 128 &&
          characters.every((character) => ALLOWED.test(character)) &&
          text.normalize('NFC') === text
        expect(userIdFault(text) === null).toBe(valid)
      }),
      { numRuns: 1_000 },
    )
  })
})

describe('isMessageId', () => {
  test.each(['a', 'A-Z_0-9', '-', 'x'.repeat(64)])('[W8] %s is one', (id) => {
    expect(isMessageId(id)).toBe(true)
  })

  test.each([[''], ['x'.repeat(65)], ['a b'], ['a\n'], ['a.b'], ['\u00e9'], [7], [null], [['a']]])(
    '[W8] %j is none',
    (id) => {
      expect(isMessageId(id)).toBe(false)
    },
  )
})

test('[W8] kindOf names the kind of a value and never its content', () => {
  expect([null, undefined, [1], { secret: 1 }, 'secret', 7, true].map(kindOf)).toEqual([
    'null',
    'nothing',
    'an array',
    'object',
    'string',
    'number',
    'boolean',
  ])
})
