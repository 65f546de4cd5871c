import { spawnSync } from 'node:child_process'
import { availableParallelism, platform } from 'node:os'

/** Which core each process has; null: the system places it. */
export interface Cores {
  readonly server: number | null
  readonly load: number | null
}

/** The server alone on one core, the load on another, where the system can do that. */
export function chooseCores(): Cores {
  const pins =
    platform() === 'linux' &&
    availableParallelism() >= 2 &&
    spawnSync('taskset', ['-c', '0,1', 'true']).status === 0
  return pins ? { server: 0, load: 1 } : { server: null, load: null }
}
