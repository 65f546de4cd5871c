import { runFixedRate } from '../load/fixed-rate.js'
import { asContender, type Scenario } from './scenario.js'

const READERS = 200
/** Plain Socket.IO reaches some 300 on one undisturbed core: beyond it, what is measured is its queue. */
const RATES = [40, 80, 160, 400, 1_000, 4_000]

/** Times mean something on a quiet machine only. They count from when a publication was due. */
export const LATENCY: Scenario = {
  id: 'latency',
  title: 'Publish to delivery at fixed rates, 200 subscribers (quiet machines only)',
  reference: 'socket-io',
  metrics: [
    { key: 'p99Ms', title: 'p99 ms', better: 'less' },
    { key: 'p50Ms', title: 'p50 ms', better: 'less' },
    { key: 'p999Ms', title: 'p99.9 ms', better: 'less' },
  ],
  cells: RATES.map((publishesPerSecond) => ({
    id: `${publishesPerSecond}-per-second`,
    runners: ['ours', 'socket-io', 'ws-joined'],
    run: (runner, context) =>
      runFixedRate({ readers: READERS, publishesPerSecond }, asContender(runner), context),
  })),
}
