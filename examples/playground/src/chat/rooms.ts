/** The rooms that everybody has. */
export const STANDARD_ROOMS = ['welcome', 'tea-kitchen', 'workshop'] as const

export type StandardRoom = (typeof STANDARD_ROOMS)[number]

export const MAX_ROOMS = 20
const MAX_ROOM_LENGTH = 40
const ROOM_NAME = /^[\p{L}\p{M}\p{Nd}-]+$/u

export function isStandardRoom(room: string): room is StandardRoom {
  return (STANDARD_ROOMS as readonly string[]).includes(room)
}

/** A room's name as a topic can hold it, or null: blanks become dashes, case does not matter. */
export function roomNameOf(text: string): string | null {
  const name = text.normalize('NFC').trim().toLowerCase().replace(/\s+/gu, '-')
  return ROOM_NAME.test(name) && Array.from(name).length <= MAX_ROOM_LENGTH ? name : null
}

export function chatTopic(room: string): string {
  return `chat-room-${room}`
}

export function typingTopic(room: string): string {
  return `typing:${room}`
}
