import type { PublishAck, RealtimeError } from '@bmt-central/realtime'
import type { Reader } from '../reader.js'

/** What writers say: who, and the how manieth of theirs to this topic, from 1. */
export interface Said {
  readonly writer: number
  readonly number: number
}

/** How one publish ended. */
export interface Outcome {
  readonly said: Said
  readonly topic: string
  readonly result: PublishAck | RealtimeError
}

/**
 * What is wrong with what one reader was told: a hole that no gap explains, a double, or one
 * writer's messages in another order than that of its calls. Empty where nothing is.
 */
export function faultsOfReading(heard: Reader<Said>): string[] {
  const faults: string[] = []
  const said = new Set<string>()
  const lastOf = new Map<number, number>()
  const [gaps, messages] = [[...heard.gaps], [...heard.messages]]
  let position: { epoch: string; seq: number } | null = null
  for (const entry of heard.log) {
    if (entry === 'subscribed') continue
    const gap = entry === 'gap' ? gaps.shift() : undefined
    if (gap !== undefined) {
      const explains: boolean =
        position === null ||
        (gap.reason === 'expired'
          ? gap.epoch === position.epoch && gap.from === position.seq + 1
          : gap.epoch !== position.epoch)
      if (!explains) faults.push(`gap ${JSON.stringify(gap)} after ${JSON.stringify(position)}`)
      position = { epoch: gap.epoch, seq: gap.to ?? 0 }
      continue
    }
    const message = messages.shift()
    if (message === undefined) continue
    const { epoch, seq, payload } = message
    if (position !== null && (epoch !== position.epoch || seq !== position.seq + 1)) {
      faults.push(`message ${epoch} ${seq} after ${JSON.stringify(position)}`)
    }
    position = { epoch, seq }
    const key = `${payload.writer}'s ${payload.number}`
    if (said.has(key)) faults.push(`${key} came twice`)
    said.add(key)
    if ((lastOf.get(payload.writer) ?? 0) >= payload.number) faults.push(`${key} is out of order`)
    lastOf.set(payload.writer, payload.number)
  }
  return faults.map((fault) => `${heard.subscription.topic}: ${fault}`)
}

/** What is wrong with acknowledgements: one that names a place where something else stands. */
export function faultsOfAcknowledgements(
  outcomes: readonly Outcome[],
  readers: readonly Reader<Said>[],
): string[] {
  const places = new Map<string, Said>()
  for (const { messages } of readers) {
    for (const { topic, epoch, seq, payload } of messages) {
      places.set(`${topic} ${epoch} ${seq}`, payload)
    }
  }
  return outcomes.flatMap(({ said, topic, result }) => {
    if (!('seq' in result)) return []
    const stands = places.get(`${topic} ${result.epoch} ${result.seq}`)
    // What nobody heard went with its server, or fell out before anybody was back.
    const wrong = stands !== undefined && JSON.stringify(stands) !== JSON.stringify(said)
    return wrong ? [`${topic}: ${JSON.stringify(said)} acknowledged at the place of another`] : []
  })
}
