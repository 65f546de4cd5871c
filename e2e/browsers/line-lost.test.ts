import { setTimeout as sleep } from 'node:timers/promises'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { launchChromium } from './chromium.js'
import { eventually } from './eventually.js'
import { expectCleanPages, Person, type ShownMessage } from './person.js'
import { startPlayground, type LocalName, type Playground } from './playground.js'

/** How long the network stays away where no socket ends by it. */
const AWAY_MS = 60_000

let playground: Playground
let browser: Browser
beforeAll(async () => {
  ;[playground, browser] = await Promise.all([startPlayground(), launchChromium()])
})
afterAll(async () => {
  await browser.close()
  await playground.stop()
})

/** One way to lose the line, and to have it back. */
interface Loss {
  readonly room: string
  readonly host: LocalName
  readonly before?: () => void
  readonly lose: (person: Person) => Promise<void>
  /** Whether the browser tells the page that its socket has ended. */
  readonly socketEnds: boolean
  readonly mend: (person: Person) => Promise<void>
}

const offline = (isOffline: boolean) => (person: Person) => person.context.setOffline(isOffline)

// Side by side: nearly all of it is waiting.
describe.concurrent('two people, one of whom loses the line while both write', () => {
  const title = 'see the same messages in the same order, each once'
  const timeout = 240_000

  test(
    `[P1][P2][P4][C2] by the page's switch: ${title}`,
    () =>
      expectSameAcross({
        room: 'by-the-switch',
        host: 'localhost',
        socketEnds: true,
        lose: (person) => person.page.getByTestId('cut').click(),
        // Nobody mends it: after 10 s it is whole again, and the client finds out.
        mend: () => Promise.resolve(),
      }),
    timeout,
  )

  test(
    `[P1][P2][P4][C4] by a network that ends the socket: ${title}`,
    () =>
      expectSameAcross({
        room: 'by-the-network',
        host: '127.0.0.1',
        socketEnds: true,
        lose: offline(true),
        mend: offline(false),
      }),
    timeout,
  )

  test(
    `[P1][P2][P4][C4][C5] by a network that swallows everything for a minute: ${title}`,
    () =>
      expectSameAcross({
        room: 'by-silence',
        host: 'localhost',
        socketEnds: false,
        lose: offline(true),
        mend: offline(false),
      }),
    timeout,
  )

  test(
    `[P1][P2][P4][C5] by silence of which the browser says nothing, either: ${title}`,
    () =>
      expectSameAcross({
        room: 'by-silence-untold',
        host: 'localhost',
        before: () => {
          const hush = (event: Event): void => event.stopImmediatePropagation()
          for (const name of ['offline', 'online']) window.addEventListener(name, hush, true)
        },
        socketEnds: false,
        lose: offline(true),
        async mend(person) {
          await person.context.setOffline(false)
          await person.page.getByRole('button', { name: 'Now' }).click()
        },
      }),
    timeout,
  )
})

const EARLY = ['Ada: before 1', 'Grace: before 1', 'Ada: before 2']
const ADA_AWAY = ['Ada: away 1', 'Ada: away 2', 'Ada: away 3']
const GRACE_MEANWHILE = ['Grace: meanwhile 1', 'Grace: meanwhile 2', 'Grace: meanwhile 3']
const LATE = ['Grace: there you are', 'Ada: here I am']

async function expectSameAcross({ room, host, before, ...way }: Loss): Promise<void> {
  const visit = { address: playground.address(host), room }
  const visitOfAda = { ...visit, ...(before !== undefined && { before }) }
  await using ada = await Person.enter(browser, visitOfAda)
  await using grace = await Person.enter(browser, visit)
  for (const text of EARLY) await (text.startsWith('Ada') ? ada : grace).write(text)
  await Promise.all([ada.sees(EARLY), grace.sees(EARLY)])

  const [line] = ada.sockets.slice(-1)
  const lostAt = performance.now()
  await way.lose(ada)
  await writeAll(ada, ADA_AWAY.slice(0, 1))
  if (!way.socketEnds) await expectBelieving(ada)
  await Promise.all([writeAll(ada, ADA_AWAY.slice(1)), writeAll(grace, GRACE_MEANWHILE)])
  await eventually(async () => expect(await ada.status()).toBe('reconnecting'))
  expect(line?.isClosed()).toBe(way.socketEnds)
  await expectBothWaiting(ada, grace)
  if (!way.socketEnds) await sleep(Math.max(0, AWAY_MS - (performance.now() - lostAt)))

  await way.mend(ada)
  await ada.isConnected()
  await Promise.all([writeAll(grace, LATE.slice(0, 1)), writeAll(ada, LATE.slice(1))])
  await Promise.all([expectComplete(ada), expectComplete(grace)])
  expect(placesOf(await ada.messages())).toEqual(placesOf(await grace.messages()))
  await expectRecovered(ada)
  expect(await grace.figure('reconnects')).toBe('0')
  expectCleanPages(ada, grace)
}

async function writeAll(person: Person, texts: readonly string[]): Promise<void> {
  for (const text of texts) await person.write(text)
}

/** The page still takes its line for whole, and has handed over what does not arrive. */
async function expectBelieving(person: Person): Promise<void> {
  expect(await person.stateOf('Ada: away 1')).toBe('sent')
  expect(await person.status()).toBe('connected')
}

/** Neither sees what the other writes, and both are told the truth about their own. */
async function expectBothWaiting(ada: Person, grace: Person): Promise<void> {
  const statesOf = async (person: Person, texts: readonly string[]): Promise<unknown[]> =>
    Promise.all(texts.map((text) => person.stateOf(text)))
  await eventually(async () =>
    expect(await statesOf(grace, GRACE_MEANWHILE)).toEqual(Array(3).fill('acknowledged')),
  )
  expect(await statesOf(ada, ADA_AWAY)).toEqual(Array(3).fill('queued'))
  expect(await statesOf(ada, GRACE_MEANWHILE)).toEqual(Array(3).fill(undefined))
  expect(await statesOf(grace, ADA_AWAY)).toEqual(Array(3).fill(undefined))
  expect(await ada.page.getByTestId('banner-text').textContent()).toMatch(/line/)
  expect(await ada.page.getByTestId('banner-action').isEnabled()).toBe(true)
}

/** Everything once, in the stream's order, and every own message acknowledged. */
async function expectComplete(person: Person): Promise<void> {
  const written = [...EARLY, ...ADA_AWAY, ...GRACE_MEANWHILE, ...LATE].toSorted()
  await eventually(async () => expect((await person.texts()).toSorted()).toEqual(written))
  await eventually(async () => {
    const own = (await person.messages()).filter((message) => message.own)
    expect(own.filter(({ state }) => state !== 'acknowledged')).toEqual([])
  })
  const messages = await person.messages()
  expect(messages.map(({ seq }) => seq)).toEqual(written.map((_, index) => index + 1))
  expect(new Set(messages.map(({ epoch }) => epoch)).size).toBe(1)
  for (const [name, own] of [
    ['Ada', ADA_AWAY],
    ['Grace', GRACE_MEANWHILE],
  ] as const) {
    const texts = messages.map(({ text }) => text).filter((text) => text.startsWith(name))
    const all = [...EARLY, ...own, ...LATE].filter((text) => text.startsWith(name))
    expect(texts, 'in the order in which they were written').toEqual(all)
  }
  for (const { own, seq, delivery } of messages) {
    expect(delivery).toMatch(own ? new RegExp(`^#${seq} · (delivered to \\d+|arrived)$`) : /^$/)
  }
}

const placesOf = (messages: readonly ShownMessage[]): unknown[] =>
  messages.map(({ id, text, seq, epoch }) => ({ id, text, seq, epoch }))

/** The page says that it was away, and what that has cost: nothing. */
async function expectRecovered(person: Person): Promise<void> {
  const notice = person.page.getByTestId('recovered')
  expect(await notice.allTextContents()).toEqual([
    expect.stringMatching(/^\d+ missed messages recovered, none lost, none twice$/),
  ])
  expect(await person.page.getByTestId('gap').count()).toBe(0)
  expect(await person.page.getByTestId('failure').count()).toBe(0)
  await eventually(async () => expect(Number(await person.figure('reconnects'))).toBeGreaterThan(0))
  const figures = { queueSize: '0', gaps: '0', twice: '0' }
  for (const [name, value] of Object.entries(figures)) {
    await eventually(async () => expect(await person.figure(name), name).toBe(value))
  }
}
