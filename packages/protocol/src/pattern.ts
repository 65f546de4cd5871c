import { RealtimeError } from './errors.js'
import { kindOf, parseTopic, type Topic } from './topic.js'

/** What the placeholders of a pattern stood for. */
export type Params = Readonly<Record<string, string>>

/** A compiled pattern [T2]. */
export interface Pattern {
  readonly source: string
  /** The placeholders' values, or null where the topic does not match. */
  match(topic: Topic): Params | null
}

const PLACEHOLDER = /\{([^{}]*)\}/gu
const NAME = /^[A-Za-z_][A-Za-z0-9_]{0,63}$/
/** Stands for any segment when patterns are compared; no topic can contain it. */
const WITNESS = '\u0001'

/**
 * Compiles a pattern [T2]: `{name}` stands for one non-empty segment or a part of one, a final `*`
 * for any non-empty rest, `*` alone for every topic; all else is literal. Normalised to NFC.
 * @throws RealtimeError `invalid_options`
 */
export function compilePattern(input: unknown): Pattern {
  if (typeof input !== 'string') {
    throw new RealtimeError('invalid_options', `a pattern must be a string, got ${kindOf(input)}`)
  }
  const source = input.normalize('NFC')
  const names = checkPattern(source)
  const rest = source.endsWith('*')
  const body = rest ? source.slice(0, -1) : source
  const expression = body
    .split(PLACEHOLDER)
    .map((part, index) => (index % 2 === 1 ? '([^:]+)' : escapeLiteral(part)))
    .join('')
  const matcher = new RegExp(`^${expression}${rest ? '[^]+' : ''}$`, 'u')
  return {
    source,
    match(topic) {
      const found = matcher.exec(topic)
      if (found === null) return null
      const params: Record<string, string> = Object.create(null) as Record<string, string>
      names.forEach((name, index) => (params[name] = found[index + 1] ?? ''))
      return params
    },
  }
}

function checkPattern(source: string): string[] {
  const refuse = (why: string): never => {
    throw new RealtimeError('invalid_options', `pattern ${JSON.stringify(source)}: ${why}`)
  }
  const names = [...source.matchAll(PLACEHOLDER)].map((match) => match[1] ?? '')
  for (const name of names) {
    if (!NAME.test(name)) refuse(`{${name}} is no name: letters, digits and _ only`)
  }
  for (const segment of source.split(':')) {
    if (segment.split('{').length > 2) refuse('at most one {name} in a segment')
  }
  if (new Set(names).size !== names.length) refuse('the names of its placeholders must differ')
  const star = source.indexOf('*')
  if (star >= 0 && star !== source.length - 1) refuse('* may stand at the end only')
  // `user:{id}*` would match user:12 with id 1 and the rest 2: the rule would judge another user.
  if (source.endsWith('}*')) refuse('a {name} must not stand directly before *')
  try {
    // What is left when each placeholder and the rest stand for a letter must be a topic itself.
    parseTopic(source.replace(PLACEHOLDER, 'x').replace(/\*$/u, 'x'))
  } catch (error) {
    refuse(error instanceof Error ? error.message : 'it is no topic')
  }
  return names
}

function escapeLiteral(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/gu, '\\$&')
}

/**
 * Whether every topic that `inner` matches is matched by `outer`, too. Placeholders are replaced by
 * a character that no literal can equal, so only a placeholder or a rest can have matched it.
 */
export function patternCovers(outer: Pattern, inner: Pattern): boolean {
  const generic = inner.source.replace(PLACEHOLDER, WITNESS)
  if (!inner.source.endsWith('*')) return outer.match(generic) !== null
  const body = generic.slice(0, -1)
  return [WITNESS, `${WITNESS}:${WITNESS}`].every((rest) => outer.match(body + rest) !== null)
}
