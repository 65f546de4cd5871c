import type { EventMessage } from '@bmt-central/realtime-protocol'
import type { Parcel } from '../transport/parcel.js'
import { eventPacket } from '../transport/packets.js'
import type { Publication } from '../publication.js'

/** The JSON of an `EventMessage` (contract, section 2), around the payload's own text. */
export function eventJson(publication: Publication): string {
  const { topic, id, seq, epoch, payloadJson, timestamp, from } = publication
  return (
    `{"type":"event","topic":${JSON.stringify(topic)},"id":${JSON.stringify(id)},"seq":${seq},` +
    `"epoch":${JSON.stringify(epoch)},"payload":${payloadJson},"timestamp":${timestamp},` +
    `"from":${from === null ? 'null' : JSON.stringify(from)}}`
  )
}

/** A publication as it leaves to its subscribers [W21]; made once, shared by all of them. */
export function eventParcel(publication: Publication, conflate: boolean): Parcel {
  const json = eventJson(publication)
  const text = eventPacket('message', json)
  return {
    text,
    bytes: Buffer.byteLength(text),
    topic: publication.topic,
    conflate,
    // An ephemeral channel announces nothing of what was left out [P11].
    ...(conflate &&
      publication.epoch !== '' && {
        withSkipped: (skipped: number) =>
          eventPacket('message', `${json.slice(0, -1)},"skipped":${skipped}}`),
      }),
  }
}

/** The same as an object, for the server's own readers. */
export function eventMessage<T>(publication: Publication): EventMessage<T> {
  const { topic, id, seq, epoch, payloadJson, timestamp, from } = publication
  const payload = JSON.parse(payloadJson) as T
  return { type: 'event', topic, id, seq, epoch, payload, timestamp, from }
}
