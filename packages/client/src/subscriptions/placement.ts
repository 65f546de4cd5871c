import {
  place,
  type EventMessage,
  type Placement,
  type Position,
} from '@bmt-central/realtime-protocol'

/**
 * Where a message stands to the last one delivered. Ephemeral ones have no position [P11], and
 * `skipped` explains a hole that was left on purpose.
 */
export function placeMessage(last: Position | null, message: EventMessage): Placement {
  if (message.epoch === '') return 'deliver'
  const placement = place(last, message)
  const { seq, skipped = 0 } = message
  const explained = placement === 'gap' && last !== null && seq - skipped <= last.seq + 1
  return explained ? 'deliver' : placement
}

export function positionOf({ epoch, seq }: Position): Position {
  return { epoch, seq }
}
