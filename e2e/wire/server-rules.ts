import type { ChannelRule, Limits } from '@bmt-central/realtime-server'

// What a server must be set to, so that the wire suite can be pointed at it. All of it but
// `SLOW_RULE` can be said in JSON; server.json is the same as a file:
//
//   bmt-realtime serve --dev --port 3000 --config e2e/wire/server.json
//   WIRE_URL=http://127.0.0.1:3000 npx vitest run e2e/wire

/** The application's rules. */
export const WIRE_RULES = [
  { match: 'wire:open:*', subscribe: 'authenticated', publish: 'authenticated' },
  {
    match: 'wire:short:*',
    subscribe: 'authenticated',
    publish: 'authenticated',
    history: { size: 5 },
  },
  { match: 'wire:read:*', subscribe: 'authenticated', publish: { role: 'writer' } },
  {
    match: 'wire:live:*',
    subscribe: 'authenticated',
    publish: 'authenticated',
    delivery: 'ephemeral',
  },
] as const satisfies readonly ChannelRule[]

/** `connected.rules` of such a server, before rules that only a process of its own adds. */
export const WIRE_RULES_SHOWN: readonly object[] = [
  { match: 'wire:open:*', subscribe: 'authenticated', publish: 'authenticated' },
  { match: 'wire:short:*', subscribe: 'authenticated', publish: 'authenticated' },
  { match: 'wire:read:*', subscribe: 'authenticated', publish: { role: 'writer' } },
  {
    match: 'wire:live:*',
    subscribe: 'authenticated',
    publish: 'authenticated',
    delivery: 'ephemeral',
  },
]

/** Small pages, so that few messages fill them; all else as section 7 of the contract has it. */
export const WIRE_LIMITS = { maxPageMessages: 10 } as const satisfies Partial<Limits>

/** The one origin besides the server's own that may come in [W9]. */
export const WIRE_ORIGIN = 'https://app.example.com'

/** An event that the server's application handles itself: answered with `{ own: <its data> }`. */
export const WIRE_OWN_EVENT = 'wire-own'

/** Takes its time with every publish, and refuses none: for the order of requests [W6]. */
export const SLOW_RULE: ChannelRule = {
  match: 'wire:slow:*',
  subscribe: 'authenticated',
  publish: async () => {
    await new Promise((resolve) => setTimeout(resolve, 100))
    return true
  },
}
