import { afterEach, describe } from 'vitest'
import { handshakeCases } from './cases/handshake.js'
import { historyCases } from './cases/history.js'
import { originCases } from './cases/origin.js'
import { orderCases } from './cases/order.js'
import { endingCases } from './cases/endings.js'
import { publishCases } from './cases/publish.js'
import { requestCases } from './cases/requests.js'
import { subscribeCases } from './cases/subscribe.js'
import { pagingCases } from './cases/paging.js'
import { ownCases } from './cases/own.js'
import { Clients, type Bench } from './plain-client.js'
import type { WireTarget } from './target.js'

const GROUPS = {
  handshake: handshakeCases,
  requests: requestCases,
  order: orderCases,
  subscribe: subscribeCases,
  paging: pagingCases,
  publish: publishCases,
  history: historyCases,
  endings: endingCases,
}

/**
 * Speaks [W1]–[W13], [W15], [W20], [W21] and [W25] with any server, by an ordinary Socket.IO client,
 * over WebSocket and over polling. Call it at the top of a test file.
 */
export function wireSuite(target: WireTarget): void {
  describe.each(['websocket', 'polling'] as const)('over %s', (transport) => {
    const clients = new Clients(target)
    const bench: Bench = { target, transport, clients }
    afterEach(() => clients.close())

    describe.each(Object.entries(GROUPS))('%s', (_group, cases) => {
      cases(bench)
    })
    describe.runIf(target.own !== undefined)('a server of one’s own', () => {
      ownCases(bench)
    })
  })
  describe('origin', () => {
    originCases(target)
  })
}
