import type { Contender } from '../servers/bench-server.js'
import { runFlow, type Flow } from '../load/flow.js'
import { asContender, type Cell, type Metric, type Scenario } from './scenario.js'

const ALL: readonly Contender[] = ['ours', 'socket-io', 'ws-naive', 'ws-joined']

const CPU_PER_DELIVERY: Metric = {
  key: 'cpuPerMillionDeliveries',
  title: 'server CPU s per million deliveries',
  better: 'less',
}
export const CPU_PER_PUBLISH: Metric = {
  key: 'cpuPerMillionPublishes',
  title: 'server CPU s per million publishes',
  better: 'less',
}
const DELIVERIES: Metric = { key: 'deliveriesPerSecond', title: 'deliveries/s', better: 'more' }
export const PUBLISHES: Metric = {
  key: 'publishesPerSecond',
  title: 'publishes/s',
  better: 'more',
}
const LONGEST_TURN: Metric = { key: 'longestTurnMs', title: 'longest turn ms', better: 'less' }

export const flowCell = (id: string, runners: readonly Contender[], flow: Flow): Cell => ({
  id,
  runners,
  run: (runner, context) => runFlow(flow, asContender(runner), context),
})

const oneTopic = (readers: number, window: number, quietTopics = 0): Flow => ({
  topics: 1,
  readers,
  topicsOf: () => [0],
  publishers: [[0]],
  window,
  quietTopics,
})

const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index)

export const FAN_OUT: Scenario = {
  id: 'fan-out',
  title: 'One topic: subscribers × publications un-acknowledged',
  reference: 'socket-io',
  metrics: [CPU_PER_DELIVERY, DELIVERIES, LONGEST_TURN],
  cells: [200, 1_000, 5_000].flatMap((readers) =>
    [1, 16, 64].map((window) => flowCell(`${readers}x${window}`, ALL, oneTopic(readers, window))),
  ),
}

const ROOMS_OF = 10
const PUBLISHERS = 50

export const ROOMS: Scenario = {
  id: 'rooms',
  title: '1,000 clients in 100 rooms of 10, 50 publishers',
  reference: 'socket-io',
  metrics: [CPU_PER_DELIVERY, DELIVERIES],
  cells: [1, 4].map((window) =>
    flowCell(`window-${window}`, ALL, {
      topics: 100,
      readers: 1_000,
      topicsOf: (reader) => [Math.floor(reader / ROOMS_OF)],
      publishers: range(PUBLISHERS).map((at) => [2 * at, 2 * at + 1]),
      window,
    }),
  ),
}

export const PUBLISH: Scenario = {
  id: 'publish',
  title: 'Publish and acknowledgement, no subscribers, 50 publishers',
  reference: 'socket-io',
  metrics: [CPU_PER_PUBLISH, PUBLISHES],
  cells: [1, 16].map((window) =>
    flowCell(`window-${window}`, ALL, {
      topics: PUBLISHERS,
      readers: 0,
      topicsOf: () => [],
      publishers: range(PUBLISHERS).map((at) => [at]),
      window,
    }),
  ),
}

const TOPICS = 10

export const TOPICS_OF_ONE: Scenario = {
  id: 'topics',
  title: '200 connections in the same 10 topics (ws-joined: one write a topic)',
  reference: 'socket-io',
  metrics: [CPU_PER_DELIVERY, DELIVERIES],
  cells: [
    flowCell('10-topics', ALL, {
      topics: TOPICS,
      readers: 200,
      topicsOf: () => range(TOPICS),
      publishers: [range(TOPICS)],
      window: TOPICS,
    }),
  ],
}

const BUSY = 10

export const GROWTH: Scenario = {
  id: 'growth',
  title: 'Open channels of which 10 are busy, 20 subscribers each',
  reference: 'socket-io',
  metrics: [CPU_PER_DELIVERY, DELIVERIES],
  cells: [0, 9_990].map((quietTopics) =>
    flowCell(`${BUSY + quietTopics}-channels`, ['ours', 'socket-io'], {
      topics: BUSY,
      readers: BUSY * 20,
      topicsOf: (reader) => [reader % BUSY],
      publishers: range(BUSY).map((topic) => [topic]),
      window: 16,
      quietTopics,
    }),
  ),
}

/** Small enough for every run of the tests: shows that all of it works and counts exactly. */
export const SMOKE: Scenario = {
  id: 'smoke',
  title: 'A check of the benchmark itself: 20 subscribers',
  reference: 'socket-io',
  metrics: [CPU_PER_DELIVERY, DELIVERIES],
  cells: [flowCell('20x4', ALL, oneTopic(20, 4))],
}
