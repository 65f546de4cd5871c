import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { cutLine, holdCuts, mendCut, type HeldCut } from '../cut-line.js'
import { eventually } from '../eventually.js'
import { expectCleanPages, Person, type ShownMessage } from '../person.js'
import type { LocalName } from '../playground.js'
import type { Stage } from '../stage.js'

/** How long the network stays away where no socket ends by it. */
const AWAY_MS = 60_000
const TIMEOUT_MS = 240_000

/** One way to lose the line, and to have it back. */
interface Loss {
  readonly title: string
  readonly room: string
  readonly host: LocalName
  /** Runs in the page ahead of everything else. */
  readonly before?: () => void
  readonly lose: (person: Person) => Promise<void>
  /** Looks at who found out, right when the page knows. */
  readonly found?: (person: Person) => Promise<void>
  /** Whether the browser tells the page that its socket has ended. */
  readonly socketEnds: boolean
  readonly mend: (person: Person) => Promise<void>
}

const offline = (isOffline: boolean) => (person: Person) => person.context.setOffline(isOffline)

const LOSSES: readonly Loss[] = [
  {
    title: "[P1][P2][P4][C2] by the page's switch",
    room: 'by-the-switch',
    host: 'localhost',
    before: holdCuts,
    lose: cutLine,
    socketEnds: true,
    // Nobody presses anything: the line is whole again by itself, and the client finds out.
    mend: mendCut,
  },
  {
    title: '[P1][P2][P4][C2] by a network that ends the socket',
    room: 'by-the-network',
    host: '127.0.0.1',
    lose: offline(true),
    socketEnds: true,
    mend: offline(false),
  },
  {
    title: '[P1][P2][P4][C2] by a network that swallows everything for a minute',
    room: 'by-silence',
    host: 'localhost',
    lose: offline(true),
    socketEnds: false,
    mend: offline(false),
  },
  {
    title: '[P1][P2][P4][C5] by silence that nothing but the heartbeat notices',
    room: 'by-untold-silence',
    host: 'localhost',
    before: () => {
      const hush = (event: Event): void => event.stopImmediatePropagation()
      for (const name of ['offline', 'online']) window.addEventListener(name, hush, true)
      // When Socket.IO would notice by itself: the server's ping interval and timeout together.
      const native = window.setTimeout.bind(window)
      const withoutWatch = (run: () => void, ms?: number): number =>
        native(ms === 45_000 ? () => Object.assign(window, { noticedBySocketIo: true }) : run, ms)
      Object.assign(window, { noticedBySocketIo: false, setTimeout: withoutWatch })
    },
    lose: offline(true),
    async found({ page }) {
      const noticed = page.evaluate(() => 'noticedBySocketIo' in window && window.noticedBySocketIo)
      expect(await noticed, 'it was not Socket.IO that noticed').toBe(false)
    },
    socketEnds: false,
    async mend({ context, page }) {
      await context.setOffline(false)
      await page.getByRole('button', { name: 'Now' }).click()
    },
  },
]

/** Two people, one of whom loses the line while both write, see the same afterwards, each once. */
export function lineLostCases(stage: Stage): void {
  describe('the line is lost and everything arrives once, in order, for both', () => {
    const cases = LOSSES.map((loss) => [loss.title, loss] as const)
    test.each(cases)('%s', (_, loss) => expectSameAcross(stage, loss), TIMEOUT_MS)

    test('[P2][P4] a message that arrives, but whose answer is lost with the line', async () => {
      const address = stage.playground.address()
      const visit = { address, room: 'answer-lost', before: holdCuts }
      await using ada = await Person.enter(stage.browser, visit)
      await using grace = await Person.enter(stage.browser, visit)
      await writeAndCut(ada, 'Ada: first')
      await grace.sees(['Ada: first'])
      await eventually(async () => expect(await ada.status()).toBe('reconnecting'))
      expect(await ada.stateOf('Ada: first')).toBe('queued')
      await ada.write('Ada: second')
      await ada.page.getByTestId('banner-action').click()
      const expected = ['Ada: first', 'Ada: second'].map((text, index) => ({
        text,
        seq: index + 1,
      }))
      for (const person of [ada, grace]) {
        await eventually(async () => expect(await person.messages()).toMatchObject(expected))
      }
      await eventually(async () => expect(await ada.stateOf('Ada: first')).toBe('acknowledged'))
      expect(await ada.page.getByTestId('failure').count()).toBe(0)
      expectCleanPages(ada, grace)
    })
  })
}

/** Sends a text and cuts the line before the page can hear anything of it. */
function writeAndCut({ page }: Person, text: string): Promise<void> {
  return page.getByTestId('composer').evaluate(async (composer, typed) => {
    Object.assign(composer, { value: typed })
    composer.dispatchEvent(new Event('input', { bubbles: true }))
    composer.closest('form')?.requestSubmit()
    // Sending ends with the turn; what comes from outside has to wait for the next one.
    for (let step = 0; step < 100; step += 1) await Promise.resolve()
    const held = window as unknown as HeldCut
    held.holdsCut = true
    document.querySelector<HTMLElement>('[data-testid=cut]')?.click()
    held.holdsCut = false
  }, text)
}

const EARLY = ['Ada: before 1', 'Grace: before 1', 'Ada: before 2']
const ADA_AWAY = ['Ada: away 1', 'Ada: away 2', 'Ada: away 3']
const GRACE_MEANWHILE = ['Grace: meanwhile 1', 'Grace: meanwhile 2', 'Grace: meanwhile 3']
const LATE = ['Grace: there you are', 'Ada: here I am']

async function expectSameAcross(
  { playground, browser }: Stage,
  { room, host, before, ...way }: Loss,
): Promise<void> {
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
  await way.found?.(ada)
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
