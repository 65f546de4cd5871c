import type { Chance } from './faults.js'
import type { Listening } from './outcome.js'

/** What an application can do to its client. */
export interface Mischievous {
  connect(): void
  disconnect(): void
  /** Its wire ends without a word. */
  cut(): void
  listen(topic: string, rewind: number): void
  /** Leaves, and goes on after the last position that it knows. */
  resume(listening: Listening): void
  publish(topic: string): void
}

/** What applications do within a listener, in the middle of a delivery. */
const MISCHIEF: readonly ((client: Mischievous, listening: Listening) => void)[] = [
  () => {
    throw new Error('a listener of the simulation throws')
  },
  (client) => {
    client.disconnect()
    client.connect()
  },
  (client) => client.cut(),
  (client, { topic }) => client.listen(topic, 0),
  (client, { topic }) => client.publish(topic),
  (_, { subscription }) => subscription.unsubscribe(),
  (client, { topic, subscription }) => {
    subscription.unsubscribe()
    client.listen(topic, 0)
  },
  // As after a reload: nothing twice, and no hole.
  (client, listening) => client.resume(listening),
]

export function mischief(client: Mischievous, listening: Listening, chance: Chance): void {
  MISCHIEF[chance.below(MISCHIEF.length)]?.(client, listening)
}
