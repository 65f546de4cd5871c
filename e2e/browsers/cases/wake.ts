import { expect, test } from 'vitest'
import { eventually } from '../eventually.js'
import { expectCleanPages, Person } from '../person.js'
import type { Stage } from '../stage.js'

/** What a browser does to a page: takes its network away, or stops it as when a lid is closed. */
export function wakeCases(stage: Stage): void {
  test('[P2] a page that was frozen while its network went and came back recovers', async () => {
    const visit = { address: stage.playground.address('127.0.0.1'), room: 'frozen' }
    await using ada = await Person.enter(stage.browser, visit)
    await using grace = await Person.enter(stage.browser, visit)
    await grace.write('Before')
    await ada.sees(['Before'])

    const cdp = await ada.context.newCDPSession(ada.page)
    await cdp.send('Debugger.enable')
    const paused = new Promise((resolve) => cdp.once('Debugger.paused', resolve))
    await cdp.send('Debugger.pause')
    await paused
    const [line] = ada.sockets.slice(-1)
    await ada.context.setOffline(true)
    const meanwhile = ['While frozen 1', 'While frozen 2', 'While frozen 3']
    for (const text of meanwhile) await grace.write(text)
    await eventually(async () => expect(await grace.stateOf('While frozen 3')).toBe('acknowledged'))
    await ada.context.setOffline(false)
    await cdp.send('Debugger.disable')

    await ada.sees(meanwhile)
    expect(line?.isClosed()).toBe(true)
    expect(await ada.texts()).toEqual(['Before', ...meanwhile])
    await eventually(async () => expect(await ada.figure('reconnects')).toBe('1'))
    expect(await ada.figure('twice')).toBe('0')
    expect(await ada.page.getByTestId('recovered').textContent()).toContain('3 missed messages')
    expectCleanPages(ada, grace)
  })

  test('[C4] that the browser says it is offline is looked into at once', async () => {
    const visit = { address: stage.playground.address('localhost'), room: 'told' }
    // Of the same network and older, but nobody tells it: it has its heartbeat alone.
    await using untold = await Person.enter(stage.browser, {
      ...visit,
      before: () => {
        const hush = (event: Event): void => event.stopImmediatePropagation()
        window.addEventListener('offline', hush, true)
      },
    })
    await using told = await Person.enter(stage.browser, visit)
    await Promise.all([told, untold].map(({ context }) => context.setOffline(true)))
    await eventually(async () => expect(await told.status()).toBe('reconnecting'))
    expect(await untold.status()).toBe('connected')
    await Promise.all([told, untold].map(({ context }) => context.setOffline(false)))
    await told.isConnected()
    expectCleanPages(told, untold)
  })
}
