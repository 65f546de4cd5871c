import { runStorm, type Storm } from '../load/storm.js'
import { asContender, type Scenario } from './scenario.js'

const storm = (clients: number): Storm => ({
  clients,
  subscriptions: 5,
  topics: clients / 2,
  before: 2,
  missed: 5,
})

/**
 * The server is killed (SIGKILL) and started again on the same directory, five messages a topic are
 * published, then all clients come back in the same moment while publishing goes on. A run succeeds
 * only where every client has every message once and in order. Plain Socket.IO keeps its messages in
 * memory, and its clients join their rooms again and ask for what they missed by hand.
 */
export const RECOVERY: Scenario = {
  id: 'recovery',
  title: 'Clients with 5 subscriptions come back at once after a restart; none may miss a message',
  reference: 'socket-io',
  metrics: [
    { key: 'cpuSeconds', title: 'server CPU s', better: 'less' },
    { key: 'seconds', title: 's until all have everything', better: 'less' },
    { key: 'medianBackMs', title: 'median client ms', better: 'less' },
    { key: 'refusals', title: 'refused attempts', better: 'less' },
    { key: 'longestTurnMs', title: 'longest turn ms', better: 'less' },
  ],
  cells: [200, 2_000].map((clients) => ({
    id: `${clients}-clients`,
    runners: ['ours-disk-always', 'ours-disk-interval', 'socket-io'],
    run: (runner, context) => runStorm(storm(clients), asContender(runner), context),
  })),
}
