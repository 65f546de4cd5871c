import type { Contender } from '../servers/bench-server.js'
import type { Client } from './client.js'
import { dialectOf, type Dialect } from './dialect.js'
import { payloadText } from './key.js'
import { topicName } from './flow.js'

/** What a client keeps of its subscriptions over the loss of its connection. */
export interface Remembered {
  readonly topics: readonly number[]
  /** The number of the last message of each topic. */
  readonly last: ReadonlyMap<number, number>
  readonly epochs: Map<number, string>
  /** Takes the key of a message that the server gives back. */
  readonly take: (k: string) => void
}

/** How a client of one kind of server gets its subscriptions and what it missed. */
export interface Restorer {
  readonly dialect: Dialect
  readonly restore: (client: Client, remembered: Remembered) => Promise<void>
}

interface KeptMessage {
  readonly payload: { readonly k: string }
}

interface Subscribed {
  readonly status: string
  readonly epoch: string
  readonly recovered: boolean
  readonly gap?: unknown
  readonly messages: readonly KeptMessage[]
  readonly more: boolean
}

/** `42["…"` and `43<id>[…]`: what follows the packet's head is JSON. */
const bodyOf = (ack: string): unknown => JSON.parse(ack.slice(ack.indexOf('[')))

/** The numbers of a topic's messages are its sequence here, since nobody else publishes there. */
function entryOf(topic: number, { epochs, last }: Remembered): object {
  const epoch = epochs.get(topic)
  const since = epoch === undefined ? {} : { since: { epoch, seq: last.get(topic) ?? 0 } }
  return { topic: topicName(topic), ...since }
}

/** Takes one topic's answer; true where there is more to ask for. */
function takeSubscribed(topic: number, result: Subscribed, { epochs, take }: Remembered): boolean {
  const whole = result.recovered || !epochs.has(topic)
  if (result.status !== 'success' || result.gap !== undefined || !whole) {
    throw new Error(`not recovered: ${JSON.stringify(result)}`)
  }
  epochs.set(topic, result.epoch)
  for (const { payload } of result.messages) take(payload.k)
  return result.more
}

/** One batch with positions, and again for topics that have more. */
async function restoreOurs(client: Client, remembered: Remembered): Promise<void> {
  let open = remembered.topics
  while (open.length > 0) {
    const asked = open
    const request = JSON.stringify({ topics: asked.map((topic) => entryOf(topic, remembered)) })
    await client.request(
      (id) => `42${id}["subscribe",${request}]`,
      (ack) => {
        const [{ results }] = bodyOf(ack) as [{ results: readonly Subscribed[] }]
        open = asked.filter((topic, at) => {
          const result = results[at]
          if (result === undefined) throw new Error(`no answer for topic ${topic}: ${ack}`)
          return takeSubscribed(topic, result, remembered)
        })
      },
    )
  }
}

/** By hand: every room is joined again, and the server's list of it searched for what is new. */
async function restorePlain(client: Client, { topics, last, take }: Remembered): Promise<void> {
  const answers: Promise<string>[] = []
  const onAck = (ack: string): void => {
    const [{ messages }] = bodyOf(ack) as [{ messages: readonly KeptMessage[] }]
    for (const { payload } of messages) take(payload.k)
  }
  client.together(() => {
    for (const topic of topics) {
      const [room, from] = [topicName(topic), last.get(topic) ?? 0]
      answers.push(client.request((id) => `42${id}["rejoin","${room}",${from}]`, onAck))
    }
  })
  await Promise.all(answers)
}

export function restorerOf(contender: Contender): Restorer {
  const dialect = dialectOf(contender)
  if (contender !== 'socket-io') return { dialect, restore: restoreOurs }
  const publish: Dialect['publish'] = (id, topic, number, index) =>
    `42${id}["publish-kept","${topic}",${payloadText(index, number)}]`
  return { dialect: { ...dialect, publish }, restore: restorePlain }
}
