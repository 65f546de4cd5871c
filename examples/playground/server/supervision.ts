/** What the server process tells the one that started it. */
export type ServerReport =
  { readonly kind: 'listening' } | { readonly kind: 'port_taken' } | { readonly kind: 'kill_me' }

/** @returns null where it is none of ours */
export function parseReport(value: unknown): ServerReport | null {
  if (typeof value !== 'object' || value === null) return null
  const { kind } = value as { kind?: unknown }
  return kind === 'listening' || kind === 'port_taken' || kind === 'kill_me' ? { kind } : null
}
