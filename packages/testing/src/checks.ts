import type { Gap, Position } from '@bmt-central/realtime-protocol'
import type { Ledger } from './ledger.js'
import { RETAINED } from './server-node.js'
import type { Listening, Publishing, Told } from './outcome.js'
import type { SimulatedClient } from './simulated-client.js'

/** What is wrong with the outcome of a run, in words; each begins with the promise that is broken. */
export function violations(clients: readonly SimulatedClient[], ledger: Ledger): string[] {
  return [
    ...ledger.faults,
    ...clients.flatMap((client) => [
      ...client.publishing.flatMap((publish) => checkPublish(publish, ledger)),
      ...checkCallOrder(client, ledger),
      ...client.listening.flatMap((listening) =>
        checkListening(listening, ledger).map((what) => `${what} (${client.name})`),
      ),
    ]),
  ]
}

function checkPublish({ id, topic, result, finals }: Publishing, ledger: Ledger): string[] {
  const places = ledger.of(topic).filter((entry) => entry.id === id)
  const [place] = places
  const found: string[] = []
  if (places.length > 1) {
    const where = places.map(({ epoch, seq }) => `${epoch} ${seq}`).join(', ')
    found.push(`[P4] ${id} was accepted ${places.length} times: ${where}`)
  }
  if (finals !== 1) found.push(`[P5] ${id} was settled ${finals} times`)
  if (result === 'pending') return [...found, `[P5] ${id} is pending`]
  if ('code' in result) {
    const unknown = result.details?.['outcome'] === 'unknown'
    if (place !== undefined && !unknown) found.push(`[P5] ${id}: ${result.code}, but it is there`)
  } else if (place?.epoch !== result.epoch || place.seq !== result.seq) {
    const where = place === undefined ? 'nowhere' : `${place.epoch} ${place.seq}`
    found.push(`[P6] ${id} was acknowledged as ${result.epoch} ${result.seq} and is ${where}`)
  }
  return found
}

function checkCallOrder({ publishing }: SimulatedClient, ledger: Ledger): string[] {
  const order = new Map(publishing.map(({ id }, index) => [id, index]))
  return [...new Set(publishing.map(({ topic }) => topic))].flatMap((topic) => {
    // A server that ends may still append to its own epoch while the next one serves, and may do so
    // there for the first time: what counts is the order of servers, not that of instants.
    const found = ledger
      .of(topic)
      .toSorted((one, other) => one.broker - other.broker)
      .flatMap(({ id }) => order.get(id) ?? [])
    const wrong = found.findIndex((index, at) => at > 0 && index < (found[at - 1] ?? 0))
    if (wrong < 0) return []
    const [before, after] = [found[wrong - 1] ?? 0, found[wrong] ?? 0]
    return [`[P1] ${topic}: ${publishing[after]?.id} came after ${publishing[before]?.id}`]
  })
}

type Message = Extract<Told, { id: string }>

function checkListening({ topic, told, subscription }: Listening, ledger: Ledger): string[] {
  const found: string[] = []
  const truth = new Map(ledger.of(topic).map((entry) => [`${entry.epoch} ${entry.seq}`, entry.id]))
  const seen = new Set<string>()
  /** What comes next follows this position; null: wherever it begins. */
  let at: Position | null = null
  let last: Message | null = null
  let gap: Gap | null = null
  for (const one of told) {
    if ('live' in one) {
      const { epoch, seq } = one.live
      const moved = at !== null && (at.epoch !== epoch || at.seq !== seq)
      if (moved && gap === null) {
        found.push(`[P2] ${topic}: live from ${epoch} ${seq} on after ${at?.epoch} ${at?.seq}`)
      }
      at = one.live
      gap = null
      continue
    }
    if ('gap' in one) {
      gap = one.gap
      const { reason, to, epoch } = gap
      if (reason === 'expired' && to !== null && to > one.head - RETAINED) {
        found.push(`[P2] ${topic}: a gap up to ${to}, which was retained at ${one.head}`)
      }
      at = { epoch, seq: to ?? 0 }
      continue
    }
    const place = `${one.epoch} ${one.seq}`
    if (seen.has(one.id)) found.push(`[P2] ${topic}: ${one.id} twice`)
    seen.add(one.id)
    if (truth.get(place) !== one.id) found.push(`[P6] ${topic}: ${place} is not ${one.id}`)
    if (at !== null && (one.epoch !== at.epoch || one.seq !== at.seq + 1)) {
      found.push(`[P3] ${topic}: ${place} follows ${at.epoch} ${at.seq}`)
    }
    if (last?.epoch === one.epoch && one.seq <= last.seq) {
      found.push(`[P1] ${topic}: went back to ${place}`)
    }
    at = one
    last = one
    gap = null
  }
  // The run ends in calm, with one more publication to each topic: whoever listens has heard it.
  const end = ledger.of(topic).at(-1)
  if (subscription.state !== 'unsubscribed' && end !== undefined && last?.id !== end.id) {
    const where = last === null ? 'nothing' : `${last.epoch} ${last.seq}`
    found.push(`[P2] ${topic}: heard ${where} last, not ${end.epoch} ${end.seq}`)
  }
  return found
}
