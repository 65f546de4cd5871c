import { runConnections } from '../load/idle.js'
import { asContender, type Cell, type Runner, type Scenario } from './scenario.js'

const RUNNERS: readonly Runner[] = ['ours', 'socket-io', 'ws-naive']

const connectionsCell = (connections: number): Cell => ({
  id: String(connections),
  runners: RUNNERS,
  run: (runner, context) => runConnections(connections, asContender(runner), context),
})

/** All servers with the same Node flags (`--expose-gc`); only ours checks a token. */
export const IDLE: Scenario = {
  id: 'idle',
  title: 'Memory of an idle connection with one subscription',
  reference: 'socket-io',
  metrics: [
    { key: 'rssKiB', title: 'RSS KiB per connection', better: 'less' },
    { key: 'heapKiB', title: 'live heap KiB per connection', better: 'less' },
  ],
  cells: [1_000, 10_000].map(connectionsCell),
}

/** 200 on their way at a time; each with a token of its own, which only ours checks. */
export const CONNECT: Scenario = {
  id: 'connect',
  title: 'Connects with one subscription, 200 at a time',
  reference: 'socket-io',
  metrics: [
    { key: 'cpuMicrosPerConnect', title: 'server CPU µs per connect', better: 'less' },
    { key: 'connectsPerCpuSecond', title: 'connects per CPU s', better: 'more' },
    { key: 'connectsPerSecond', title: 'connects/s', better: 'more' },
  ],
  cells: [5_000].map(connectionsCell),
}
