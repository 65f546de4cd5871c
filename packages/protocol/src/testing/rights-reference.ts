import type { Access, Action, Principal } from '../permissions.js'
import type { Judge, RightsOutcome, TableRule } from './rights-table.js'

/**
 * Rights once more, as naively as the contract's text reads: no expression is compiled, no code is
 * shared with the matcher. What matcher, server and client are compared with.
 */
export function referenceOutcome(
  rules: readonly TableRule[],
  request: { readonly user: Principal; readonly topic: string; readonly action: Action },
): RightsOutcome {
  const { user, action } = request
  const topic = request.topic.normalize('NFC')
  if (!isTopic(topic)) return 'invalid_topic'
  for (const rule of rules) {
    const params = paramsOf(rule.match.normalize('NFC'), topic)
    if (params === null) continue
    const access = rule[action] ?? 'nobody'
    const allowed =
      typeof access === 'function'
        ? (access as Judge)({ user, topic, params, action })
        : admits(access, user, rule.admin ?? true)
    return allowed ? 'allow' : 'permission_denied'
  }
  return builtIn(user, topic, action) ? 'allow' : 'permission_denied'
}

function isTopic(topic: string): boolean {
  const characters = Array.from(topic)
  return (
    characters.length >= 1 &&
    characters.length <= 200 &&
    characters.every((character) => /[\p{L}\p{M}\p{Nd}]|[-_.:@/+=~|]/u.test(character)) &&
    !topic.startsWith(':') &&
    !topic.endsWith(':') &&
    !topic.includes('::')
  )
}

/** Tries every length that a name could stand for, the longest first. */
function paramsOf(pattern: string, topic: string): Record<string, string> | null {
  if (pattern === '' || topic === '') return pattern === topic ? {} : null
  if (pattern === '*') return {}
  if (!pattern.startsWith('{')) {
    return pattern[0] === topic[0] ? paramsOf(pattern.slice(1), topic.slice(1)) : null
  }
  const end = pattern.indexOf('}')
  const segment = topic.split(':')[0] ?? ''
  for (let length = segment.length; length > 0; length -= 1) {
    const rest = paramsOf(pattern.slice(end + 1), topic.slice(length))
    if (rest !== null) return { [pattern.slice(1, end)]: topic.slice(0, length), ...rest }
  }
  return null
}

function admits(access: Access, user: Principal, admin: boolean): boolean {
  switch (access) {
    case 'nobody':
      return false
    case 'anyone':
      return true
    case 'authenticated':
      return user.role !== 'anonymous'
    case 'admin':
      return user.role === 'admin'
    default:
      if (admin && user.role === 'admin') return true
      if ('role' in access) return access.role === user.role
      return (user.permissions ?? []).some((permission) => permission === access.permission)
  }
}

function builtIn(user: Principal, topic: string, action: Action): boolean {
  if (user.role === 'admin') return true
  const [namespace, second] = topic.split(':')
  if (second === undefined) return false
  const known = user.role !== 'anonymous'
  if (namespace === 'public') return known || action === 'subscribe'
  if (namespace === 'private') return (user.permissions ?? []).includes('private_channel_access')
  if (namespace === 'user') return second === user.userId
  return namespace === 'system' && known && action === 'subscribe'
}
