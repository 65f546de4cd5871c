import { CONNECT, IDLE } from './connections.js'
import { DISK } from './disk.js'
import { LATENCY } from './latency.js'
import { START_UP } from './start-up.js'
import { RECOVERY } from './recovery.js'
import type { Cell, Scenario } from './scenario.js'
import { FAN_OUT, GROWTH, PUBLISH, ROOMS, SMOKE, TOPICS_OF_ONE } from './steady.js'

/** In the order in which they run. `smoke` runs only where it is asked for. */
export const SCENARIOS: readonly Scenario[] = [
  FAN_OUT,
  ROOMS,
  PUBLISH,
  TOPICS_OF_ONE,
  GROWTH,
  IDLE,
  CONNECT,
  LATENCY,
  DISK,
  START_UP,
  RECOVERY,
  SMOKE,
]

export function findCell(scenarioId: string, cellId: string): Cell {
  const cell = SCENARIOS.find(({ id }) => id === scenarioId)?.cells.find(({ id }) => id === cellId)
  if (cell === undefined) throw new Error(`there is no cell ${scenarioId} ${cellId}`)
  return cell
}
