import { measureSyncs } from '../load/file-system.js'
import { runFlow } from '../load/flow.js'
import type { Cell, Scenario } from './scenario.js'
import { CPU_PER_PUBLISH, PUBLISHES } from './steady.js'

const diskCell = (publishers: number): Cell => ({
  id: `${publishers}-publishers`,
  runners: ['fdatasync', 'ours-disk-always', 'ours-disk-interval', 'ours'],
  run: async (runner, context) => {
    if (runner === 'fdatasync') return measureSyncs(context.dataDir, context.measureMs)
    const flow = {
      topics: publishers,
      readers: 0,
      topicsOf: () => [],
      publishers: Array.from({ length: publishers }, (_, at) => [at]),
      window: 1,
    }
    return runFlow(flow, runner, context)
  },
})

/** `fdatasync` is the file system's own rate of synced 4 KiB pages, from one process, in the same run. */
export const DISK: Scenario = {
  id: 'disk',
  title:
    'Acknowledged publishes that survive power loss, each publisher waiting for its acknowledgement',
  reference: 'fdatasync',
  metrics: [PUBLISHES, CPU_PER_PUBLISH],
  cells: [1, 16, 256].map(diskCell),
}
