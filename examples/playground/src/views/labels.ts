import { isStandardRoom } from '../chat/rooms.js'
import type { DeliveryFailure } from '../chat/entries.js'
import { en } from '../i18n/en.js'
import type { TextKey, Words } from '../i18n/words.js'
import type { Failure } from '../state.js'

/** A room's name as people read it: those that everybody has are translated. */
export function roomLabel(room: string, words: Words): string {
  return isStandardRoom(room) ? words.text(`room.${room}`) : room
}

/** Why something failed, in words, with the code that a search finds. */
export function reasonText({ code }: Failure, words: Words): string {
  return words.text('reason.withCode', { reason: words.text(reasonKey(code)), code })
}

export function deliveryReason(failure: DeliveryFailure, words: Words): string {
  if (!failure.unknown || failure.code !== 'timeout') return reasonText(failure, words)
  const reason = words.text('reason.answerLost')
  return words.text('reason.withCode', { reason, code: failure.code })
}

function reasonKey(code: string): TextKey {
  const key = `reason.${code}`
  return Object.hasOwn(en, key) ? (key as TextKey) : 'reason.other'
}
