import { chromium, type BrowserServer } from 'playwright-core'
import { expect, test } from 'vitest'
import { World } from '../harness.js'
import { until } from '../until.js'
import { BROWSER, bundlePage, ORIGIN, serve, Tab } from './outbox/tab.js'

// So long that nothing but the browser's own event can be the reason within a test.
const HOUR_MS = 3_600_000
const PATIENT = {
  heartbeatInterval: HOUR_MS,
  reconnect: { baseMs: HOUR_MS, capMs: HOUR_MS },
} as const
const ROOM = 'open:room'

test('[C4] that the browser is online again is an attempt at once, whatever the delay', async () => {
  const browser = await chromium.launch(BROWSER)
  try {
    await using world = await World.start({
      cors: { origin: ORIGIN },
      heartbeatInterval: HOUR_MS,
    })
    const line = await world.line()
    const context = await browser.newContext()
    await serve(context, await bundlePage())
    // No early attempt by chance: each delay is nearly the longest.
    await context.addInitScript(() => {
      Math.random = () => 0.99
    })
    const tab = await Tab.open(context, line.url)
    await tab.start('ada', PATIENT)
    await tab.isConnected()

    await context.setOffline(true)
    line.refuse()
    line.cut()
    await tab.isStatus('reconnecting')
    await tab.publish(ROOM, 'a')
    await tab.tells('a queued')
    line.accept()
    await context.setOffline(false)
    await tab.isConnected()
    await tab.tells('a acknowledged')
    expect(tab.wire).toEqual(['a'])
  } finally {
    await browser.close()
  }
})

/** All processes of a browser at once, as where the lid of a laptop is closed and opened. */
function signal(server: BrowserServer, name: 'SIGSTOP' | 'SIGCONT'): void {
  const { pid } = server.process()
  if (pid === undefined) throw new Error('the browser has no process')
  // Of its own group: playwright starts it so.
  process.kill(-pid, name)
}

// Longer than the heartbeat and the 5 s after which a timer counts as far too late.
const ASLEEP_MS = 8_000

test('[C4][C5][P2][P4] a machine that slept finds its line dead, and has lost and doubled nothing', async () => {
  const server = await chromium.launchServer(BROWSER)
  try {
    const browser = await chromium.connect(server.wsEndpoint())
    await using world = await World.start({ cors: { origin: ORIGIN }, heartbeatInterval: 1_000 })
    // Socket.IO's own watch would find it, too, a while later.
    world.service.io.engine.opts.pingInterval = HOUR_MS
    const line = await world.line()
    const context = await browser.newContext()
    await serve(context, await bundlePage())
    const tab = await Tab.open(context, line.url)
    await tab.start('ada')
    await tab.isConnected()
    await tab.listen(ROOM)
    await world.service.publish(ROOM, 'seen', { id: 'seen' })
    await tab.hears('seen')
    const { connectionId } = await tab.stats()

    // Open, and nothing gets through: no event of the socket tells that it is dead.
    line.stall()
    await tab.publish(ROOM, 'mine')
    await until(() => tab.wire.includes('mine'), 'the publish to be on the wire')
    signal(server, 'SIGSTOP')
    await until(
      () => world.service.cleanupStaleConnections(ASLEEP_MS) > 0,
      'the server to have heard nothing for so long',
    )
    for (const id of ['first', 'second']) await world.service.publish(ROOM, id, { id })
    line.flowAnew()
    signal(server, 'SIGCONT')

    await tab.hears('seen', 'first', 'second', 'mine')
    await tab.tells('mine acknowledged')
    await world.service.publish(ROOM, 'live', { id: 'live' })
    await tab.hears('seen', 'first', 'second', 'mine', 'live')
    const stats = await tab.stats()
    expect(stats).toMatchObject({ status: 'connected', reconnectCount: 1 })
    expect(stats.connectionId).not.toBe(connectionId)
    expect(tab.wire).toEqual(['mine', 'mine'])
  } finally {
    // Whoever sleeps cannot be asked to end.
    signal(server, 'SIGCONT')
    await server.close()
  }
})
