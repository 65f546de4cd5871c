import { runStartUp } from '../disk/start-up.js'
import type { Scenario } from './scenario.js'

/** Filling the store takes most of a run's time, and is no part of the figures that are compared. */
export const START_UP: Scenario = {
  id: 'start-up',
  title:
    'Start of the durable broker with so many retained messages (whose ids are all remembered, or none)',
  reference: 'ours-disk-always',
  metrics: [
    { key: 'killedStartMs', title: 'ms after a kill', better: 'less' },
    { key: 'cleanStartMs', title: 'ms after a clean end', better: 'less' },
    { key: 'killedPublishMs', title: 'ms of a first publish', better: 'less' },
    { key: 'rssMiB', title: 'RSS MiB', better: 'less' },
    { key: 'storeMiB', title: 'store MiB', better: 'less' },
  ],
  cells: [
    { messages: 100_000, remembersIds: true },
    { messages: 1_000_000, remembersIds: true },
    { messages: 1_000_000, remembersIds: false },
  ].map(({ messages, remembersIds }) => ({
    id: `${messages}${remembersIds ? '' : '-without-ids'}`,
    runners: ['ours-disk-always'],
    run: (_runner, context) => runStartUp(messages, remembersIds, context),
  })),
}
