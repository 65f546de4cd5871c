import type { RealtimeError } from '@bmt-central/realtime'
import { fromWireFailure } from '@bmt-central/realtime-protocol'
import type { World } from '../harness.js'
import { PlainClient, type Fields } from '../wire/plain-client.js'

/** One way in which an error comes about. */
export interface Producer {
  /** The rules that it proves, and what is done. */
  readonly title: string
  readonly run: () => Promise<RealtimeError>
}

/** What the server answers an ordinary Socket.IO client: for what ours never sends, or tries again. */
export async function refusalByWire(
  world: World,
  requests: readonly (readonly [event: string, data: Fields])[],
): Promise<RealtimeError> {
  const plain = new PlainClient(world.url, { auth: { token: 'dev:plain' } })
  try {
    await plain.heard('connected')
    let answer: Fields = {}
    for (const [event, data] of requests) answer = await plain.request(event, data)
    if (answer['status'] !== 'error') throw new Error('the last request was not refused')
    return fromWireFailure(answer)
  } finally {
    plain.socket.disconnect()
  }
}
