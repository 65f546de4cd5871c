import type { HistoryPage } from '@bmt-central/realtime-protocol'
import type { Ledger } from './ledger.js'
import { RETAINED } from './server-node.js'
import type { SimulatedClient } from './simulated-client.js'

/** All that a topic retains, read page by page by a client [W13]. */
export async function readRetained(
  { client }: SimulatedClient,
  topic: string,
): Promise<HistoryPage> {
  const newest = await client.history(topic)
  const { epoch, seq } = newest
  const messages: HistoryPage['messages'] = []
  let since = { epoch, seq: Math.max(0, seq - RETAINED) }
  for (;;) {
    const page = await client.history(topic, { since })
    const last = page.messages.at(-1)
    messages.push(...page.messages)
    if (!page.more || last === undefined) return { ...newest, messages }
    since = { epoch, seq: last.seq }
  }
}

/** Whether it is what the ledger says: the newest of the epoch, none missing [P6]. */
export function checkRetained(topic: string, page: HistoryPage | null, ledger: Ledger): string[] {
  if (page === null) return [`[P6] ${topic}: what it retains cannot be read`]
  const { epoch, messages } = page
  const inEpoch = ledger.of(topic).filter((entry) => entry.epoch === epoch)
  const should = inEpoch.slice(-RETAINED).map(({ seq, id }) => `${seq} ${id}`)
  const is = messages.map(({ seq, id }) => `${seq} ${id}`)
  if (should.join() === is.join()) return []
  return [`[P6] ${topic}: ${epoch} retains ${is.join(', ')}, and not ${should.join(', ')}`]
}
