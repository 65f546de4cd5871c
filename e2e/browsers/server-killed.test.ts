import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, test } from 'vitest'
import { eventually } from './eventually.js'
import { expectCleanPages, Person, type ShownMessage } from './person.js'
import { startPlayground } from './playground.js'
import { setStage } from './stage.js'

const stage = setStage()

describe('the switch that kills the server', () => {
  const path = '/playground/kill'
  /** As the page itself does it. */
  const own = (): Record<string, string> => ({
    host: `127.0.0.1:${stage.playground.port}`,
    origin: `http://127.0.0.1:${stage.playground.port}`,
    'x-playground': 'kill-the-server',
  })

  function answerTo(method: string, headers: Record<string, string>): Promise<number> {
    return new Promise((resolve, reject) => {
      const to = { host: '127.0.0.1', port: stage.playground.port, path, method, headers }
      request({ ...to, agent: false }, (response) => {
        response.resume()
        resolve(response.statusCode ?? 0)
      })
        .once('error', reject)
        .end()
    })
  }

  const without = (name: string): Record<string, string> =>
    Object.fromEntries(Object.entries(own()).filter(([key]) => key !== name))

  const refused: [string, number, () => Promise<number>][] = [
    ['another origin', 403, () => answerTo('POST', { ...own(), origin: 'http://evil.example' })],
    [
      'another port as origin',
      403,
      () => answerTo('POST', { ...own(), origin: 'http://127.0.0.1:1' }),
    ],
    ['a page that hides its origin', 403, () => answerTo('POST', { ...own(), origin: 'null' })],
    ['no origin at all', 403, () => answerTo('POST', without('origin'))],
    ['no header of its own', 403, () => answerTo('POST', without('x-playground'))],
    ['another header', 403, () => answerTo('POST', { ...own(), 'x-playground': 'yes' })],
    [
      'another site, as the browser says',
      403,
      () => answerTo('POST', { ...own(), 'sec-fetch-site': 'cross-site' }),
    ],
    [
      'a name that was made to point here',
      403,
      () => {
        const host = `rebound.example:${stage.playground.port}`
        return answerTo('POST', { ...own(), host, origin: `http://${host}` })
      },
    ],
    ['another method', 405, () => answerTo('GET', own())],
    ['the question that a browser asks ahead', 405, () => answerTo('OPTIONS', own())],
  ]

  test('refuses whoever is not its own page, and the server lives on', async () => {
    for (const [who, status, answer] of refused) expect(await answer(), who).toBe(status)
    expect(stage.playground.output).not.toContain('killed')
  })

  test('[W9] cannot be pressed by another web page, which reaches the chat neither', async () => {
    await using ada = await Person.enter(stage.browser, {
      address: stage.playground.address('127.0.0.1'),
      room: 'watched',
    })
    await using foreign = await foreignPage()
    const context = await stage.browser.newContext()
    const page = await context.newPage()
    const answers: number[] = []
    page.on('response', (response) => {
      if (response.url().endsWith(path)) answers.push(response.status())
    })
    await page.goto(foreign.url)
    const url = `${stage.playground.address('127.0.0.1')}${path}`
    const outcomes = await page.evaluate(async (to) => {
      const headers = { 'X-Playground': 'kill-the-server' }
      const attempt = (init: RequestInit): Promise<string> =>
        fetch(to, { method: 'POST', ...init }).then(
          (response) => response.type,
          () => 'refused by the browser',
        )
      const chat = new URL('/socket.io/?EIO=4&transport=websocket', to.replace('http', 'ws'))
      const opened = new Promise<string>((resolve) => {
        const socket = new WebSocket(chat)
        socket.onopen = () => resolve('open')
        socket.onerror = () => resolve('not opened')
      })
      return [
        await attempt({ headers }),
        await attempt({ mode: 'no-cors', headers }),
        await attempt({ mode: 'no-cors' }),
        await opened,
      ]
    }, url)
    expect(outcomes).toEqual(['refused by the browser', 'opaque', 'opaque', 'not opened'])
    await page.evaluate((to) => {
      const form = document.createElement('form')
      Object.assign(form, { method: 'POST', action: to })
      document.body.append(form)
      form.submit()
    }, url)
    await page.waitForURL(url)
    expect(answers.filter((status) => status < 400)).toEqual([])
    expect(answers.length).toBeGreaterThanOrEqual(3)
    await context.close()

    await ada.write('still here')
    await eventually(async () => expect(await ada.stateOf('still here')).toBe('acknowledged'))
    expect(await ada.figure('reconnects')).toBe('0')
    expect(stage.playground.output).not.toContain('killed')
  })
})

/** A web page of somebody else's, on another port. */
async function foreignPage(): Promise<{ url: string } & AsyncDisposable> {
  const server = createServer((_, response) => {
    response.writeHead(200, { 'Content-Type': 'text/html' }).end('<title>elsewhere</title>')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

test('[P2][P4][P6] a killed server with a disk loses nothing, and the page says so', async () => {
  const room = 'durable'
  await using ada = await Person.enter(stage.browser, {
    address: stage.playground.address('localhost'),
    room,
  })
  await using grace = await Person.enter(stage.browser, {
    address: stage.playground.address('127.0.0.1'),
    room,
  })
  await ada.write('Ada: before')
  await grace.write('Grace: before')
  await Promise.all([ada.sees(['Ada: before']), grace.sees(['Ada: before', 'Grace: before'])])
  const shownBefore = await settled(ada, 2)
  expect(await grace.page.locator('#hint-kill').textContent()).toContain('nothing is lost')

  await ada.context.setOffline(true)
  await ada.write('Ada: on its way')
  await grace.page.getByTestId('kill').click()
  await eventually(async () => expect(await grace.status()).toBe('reconnecting'))
  await grace.write('Grace: while it was gone')
  await grace.isConnected()
  await ada.context.setOffline(false)
  await ada.isConnected()

  const texts = ['Ada: on its way', 'Grace: while it was gone']
  await Promise.all([ada.sees(texts), grace.sees(texts)])
  const [adas, graces] = [await settled(ada, 4), await settled(grace, 4)]
  const places = (messages: ShownMessage[]): unknown[] =>
    messages.map(({ id, text, seq, epoch }) => ({ id, text, seq, epoch }))
  expect(adas.slice(0, 2)).toEqual(shownBefore)
  expect(places(adas)).toEqual(places(graces))
  expect(adas.map(({ seq }) => seq)).toEqual([1, 2, 3, 4])
  expect(new Set(adas.map(({ epoch }) => epoch)).size).toBe(1)
  for (const person of [ada, grace]) expect(await person.page.getByTestId('gap').count()).toBe(0)
  expectCleanPages(ada, grace)
})

test('[P3][P4][P5] a killed server that kept all in memory: what is shown stays, what cannot be known is said, it goes on', async () => {
  const room = 'killed'
  await using playground = await startPlayground({ keeps: 'in memory' })
  // Under this name the browser lets a socket live whose network is gone: see below.
  await using ada = await Person.enter(stage.browser, {
    address: playground.address('localhost'),
    room,
  })
  await using grace = await Person.enter(stage.browser, {
    address: playground.address('127.0.0.1'),
    room,
  })
  const before = ['Ada: before', 'Grace: before']
  await ada.write('Ada: before')
  await grace.write('Grace: before')
  await Promise.all([ada.sees(before), grace.sees(before)])
  const shownBefore = await settled(ada, 2)
  await settled(grace, 2)

  // On its way, and no answer can come: the server is killed before the network is back.
  await ada.context.setOffline(true)
  await ada.write('Ada: on its way')
  expect(await ada.stateOf('Ada: on its way')).toBe('sent')
  await grace.page.getByTestId('kill').click()
  await eventually(async () => expect(await grace.status()).toBe('reconnecting'))
  await grace.write('Grace: while it was gone')
  await eventually(async () => expect(await ada.status()).toBe('reconnecting'))
  await ada.write('Ada: never on the wire')
  await grace.isConnected()
  expect(playground.output).toMatch(/was killed \(SIGKILL\)/)
  expect(await ada.stateOf('Ada: never on the wire')).toBe('queued')
  await ada.context.setOffline(false)
  await ada.isConnected()

  // It goes on, in an epoch of its own.
  const after = ['Ada: never on the wire', 'Grace: while it was gone', 'Ada: after', 'Grace: after']
  await ada.write('Ada: after')
  await grace.write('Grace: after')
  await Promise.all([ada.sees(after), grace.sees(after)])
  const [adas, graces] = [await settled(ada, 7), await settled(grace, 6)]
  const fresh = (messages: ShownMessage[]): ShownMessage[] =>
    messages.filter(({ old, seq }) => !old && seq > 0)
  const places = (messages: ShownMessage[]): unknown[] =>
    messages.map(({ id, text, seq, epoch }) => ({ id, text, seq, epoch }))
  expect(fresh(adas).map(({ seq }) => seq)).toEqual([1, 2, 3, 4])
  expect(places(fresh(adas))).toEqual(places(fresh(graces)))
  expect(
    fresh(adas)
      .map(({ text }) => text)
      .toSorted(),
  ).toEqual(after.toSorted())

  // What was shown stays as it was, marked as of before.
  const old = adas.filter((message) => message.old)
  expect(old).toEqual(shownBefore.map((message) => ({ ...message, old: true })))
  expect(places(graces.filter((message) => message.old))).toEqual(places(old))
  expect(new Set(adas.map(({ epoch }) => epoch)).size).toBe(3)
  for (const person of [ada, grace]) {
    const gaps = person.page.getByTestId('gap')
    expect(await gaps.count()).toBe(1)
    expect(await gaps.getAttribute('data-reason')).toBe('epoch_changed')
    expect(await gaps.textContent()).toContain('cannot be known')
    expect(await person.page.getByTestId('recovered').count()).toBe(0)
  }

  // What cannot be known is neither delivered nor failed, and never sent again unasked.
  const unknown = adas.filter(({ state }) => state === 'failed')
  expect(unknown).toMatchObject([{ text: 'Ada: on its way', outcome: 'unknown' }])
  const failure = ada.page.getByTestId('failure')
  expect(await failure.textContent()).toContain('Not known whether it arrived')
  await failure.getByTestId('retry').click()
  await eventually(async () => expect(await ada.stateOf('Ada: on its way')).toBe('acknowledged'))
  await grace.sees(['Ada: on its way'])
  expect((await grace.texts()).filter((text) => text === 'Ada: on its way')).toHaveLength(1)
  expect(await failure.count()).toBe(0)
  expect(await ada.page.getByTestId('gap').count()).toBe(1)
  expectCleanPages(ada, grace)
})

/** The messages of a person, once there are so many and none of their own is under way. */
async function settled(person: Person, count: number): Promise<ShownMessage[]> {
  await eventually(async () => {
    const messages = await person.messages()
    expect(messages).toHaveLength(count)
    expect(messages.filter(({ state }) => state === 'queued' || state === 'sent')).toEqual([])
  })
  return await person.messages()
}
