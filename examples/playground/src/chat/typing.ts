/** Somebody who was typing a moment ago. */
export interface Typist {
  readonly userId: string
  readonly name: string
  /** ms; not shown any more after that. */
  readonly until: number
}

/** How long one word about typing holds. */
export const TYPING_HOLDS_MS = 5_000
/** Repeated this often while one types. */
export const TYPING_REPEAT_MS = 2_500
const MAX_TYPISTS = 20

/** The list after somebody was heard of; `typing: false` takes them off. */
export function heard(
  typists: readonly Typist[],
  { userId, name, typing }: { userId: string; name: string; typing: boolean },
  now: number,
): readonly Typist[] {
  const others = typists.filter((typist) => typist.userId !== userId && typist.until > now)
  if (!typing || others.length >= MAX_TYPISTS) return others
  return [...others, { userId, name, until: now + TYPING_HOLDS_MS }]
}

/** Those who are still typing; the same list where nobody has stopped. */
export function stillTyping(typists: readonly Typist[], now: number): readonly Typist[] {
  return typists.every(({ until }) => until > now)
    ? typists
    : typists.filter(({ until }) => until > now)
}
