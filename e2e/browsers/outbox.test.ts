import { mkdtemp, readlink, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ReceivedMessage } from '@bmt-central/realtime'
import { chromium, type Browser, type BrowserContext } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { OPEN_RULE, World } from '../harness.js'
import type { TcpProxy } from '../proxy.js'
import { eventually } from './eventually.js'
import { BROWSER, bundlePage, ORIGIN, serve, Tab } from './outbox/tab.js'

// What no test without a browser can show: that IndexedDB has it after a reload or a crash, and that
// one tab of all has the store. Publishes are counted where they leave the tab.
const TOPIC = 'open:room'
const set: { browser?: Browser; program?: string } = {}

beforeAll(async () => {
  ;[set.browser, set.program] = await Promise.all([chromium.launch(BROWSER), bundlePage()])
})
afterAll(() => set.browser?.close())

function expectHeard(scene: Scene, ids: readonly string[]): Promise<void> {
  expect(scene.ids).toEqual(ids)
  return Promise.resolve()
}

/** A server, a line to it, a listener who hears everything, and a browser that has nothing stored. */
class Scene implements AsyncDisposable {
  readonly world: World
  readonly line: TcpProxy
  readonly context: BrowserContext
  readonly heard: ReceivedMessage[] = []

  private constructor(world: World, line: TcpProxy, context: BrowserContext) {
    this.world = world
    this.line = line
    this.context = context
  }

  static async set(context?: BrowserContext, headers?: Record<string, string>): Promise<Scene> {
    const world = await World.start({
      channels: [OPEN_RULE],
      cors: { origin: ORIGIN },
    })
    const made = context ?? (await set.browser?.newContext())
    if (made === undefined) throw new Error('there is no browser')
    const scene = new Scene(world, await world.line(), made)
    await serve(made, set.program ?? '', headers)
    const witness = await world.join('witness')
    await witness.subscribe(TOPIC, (message) => scene.heard.push(message)).ready
    return scene
  }

  tab(): Promise<Tab> {
    return Tab.open(this.context, this.line.url)
  }

  /** A tab of ada's that is offline, with a and b waiting in it. */
  async withTwoQueued(): Promise<Tab> {
    const tab = await this.tab()
    await tab.enter('ada')
    await this.offline(tab)
    await tab.publish(TOPIC, 'a', 'b')
    await tab.tells('a queued', 'b queued')
    return tab
  }

  /** In the order in which the server has put them, so far. */
  get ids(): string[] {
    return this.heard.map(({ id }) => id)
  }

  async hears(...ids: string[]): Promise<void> {
    await eventually(() => expectHeard(this, ids))
  }

  async offline(...tabs: Tab[]): Promise<void> {
    await this.context.setOffline(true)
    this.line.refuse()
    this.line.cut()
    for (const tab of tabs) await tab.isStatus('reconnecting')
  }

  async online(): Promise<void> {
    this.line.accept()
    await this.context.setOffline(false)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.context.close()
    await this.world[Symbol.asyncDispose]()
  }
}

test('[P1][P5][L13] a reload while offline keeps what is queued, in order, before newer ones', async () => {
  await using scene = await Scene.set()
  const tab = await scene.tab()
  await tab.enter('ada')
  await scene.offline(tab)
  await tab.publish(TOPIC, 'a', 'b', 'c')
  await tab.page.evaluate(() => {
    const bytes = new Uint8Array([0, 128, 255])
    window.outbox.publish('open:files', { bytes }, 'bytes')
  })
  await tab.tells('a queued', 'b queued', 'c queued', 'bytes queued')
  const stored = await tab.stored()
  await tab.page.reload()
  await tab.start('ada')
  await tab.publish(TOPIC, 'newer')
  await tab.tells('a queued', 'b queued', 'c queued', 'bytes queued', 'newer queued')
  expect(await tab.stats()).toMatchObject({ queueSize: 5, outboxStore: 'held' })
  // A second time, with nothing done in between: it is still there, and still the same.
  await tab.page.reload()
  expect(await tab.stored()).toEqual(stored)
  expect(JSON.stringify(stored)).not.toContain('dev:ada')
  await tab.start('ada')
  await tab.tells('c queued')
  await tab.publish(TOPIC, 'newer')
  expect([tab.wire, scene.ids]).toEqual([[], []])

  await scene.online()
  await scene.hears('a', 'b', 'c', 'newer')
  expect(scene.heard.map(({ payload }) => payload)).toEqual(
    ['a', 'b', 'c', 'newer'].map((text) => ({ text })),
  )
  // The rule admits no bytes: that this is noticed shows that they are still there.
  await tab.tells('a acknowledged', 'newer acknowledged', 'bytes failed validation_failed')
  expect(tab.wire).toEqual(['a', 'b', 'c', 'newer'])
  await eventually(async () => expect(await tab.storedIds()).toEqual([]))
})

test('[P2][P4] on the wire when the page was reloaded: sent again under its id, there once', async () => {
  await using scene = await Scene.set()
  const tab = await scene.tab()
  await tab.enter('ada')
  scene.line.stall('down')
  await tab.publish(TOPIC, 'a', 'b')
  await scene.hears('a', 'b')
  await eventually(async () => expect(await tab.storedIds()).toEqual(['a', 'b']))
  await tab.page.reload()
  scene.line.flow()
  await tab.start('ada')
  await tab.tells('a acknowledged duplicate', 'b acknowledged duplicate')
  expect(tab.wire).toEqual(['a', 'b', 'a', 'b'])
  await tab.publish(TOPIC, 'c')
  await scene.hears('a', 'b', 'c')
})

test('[P4] the server has lost its memory while the page was away: unknown, not sent again', async () => {
  await using scene = await Scene.set()
  const tab = await scene.tab()
  await tab.enter('ada')
  scene.line.stall('down')
  await tab.publish(TOPIC, 'a')
  await scene.hears('a')
  await eventually(async () => expect(await tab.storedIds()).toEqual(['a']))
  // Cut before it flows again: the acknowledgement never comes.
  await scene.offline()
  scene.line.flow()
  await tab.publish(TOPIC, 'b')
  await tab.page.reload()
  await scene.world.crash()
  await scene.world.revive()
  await scene.online()
  await tab.start('ada')
  await tab.tells('a failed timeout', 'b acknowledged')
  expect(tab.wire).toEqual(['a', 'b'])
})

test('[P2][P4] two tabs never send one twice; the second takes over from one that is closed', async () => {
  await using scene = await Scene.set()
  const first = await scene.tab()
  await first.enter('ada')
  const second = await scene.tab()
  await second.start('ada')
  await second.isConnected()
  await second.isStore('waiting')
  await scene.offline(first, second)
  await first.publish(TOPIC, 'a1', 'a2')
  await second.publish(TOPIC, 'b1')
  await first.tells('a1 queued', 'a2 queued')
  await second.tells('b1 queued')
  await scene.online()
  await first.tells('a1 acknowledged', 'a2 acknowledged')
  await second.tells('b1 acknowledged')
  expect([first.wire, second.wire]).toEqual([['a1', 'a2'], ['b1']])

  await scene.offline(first, second)
  await first.publish(TOPIC, 'a3', 'a4')
  await first.tells('a3 queued', 'a4 queued')
  await second.publish(TOPIC, 'b2')
  await first.page.close()
  await second.isStore('held')
  await second.tells('a3 queued', 'a4 queued')
  // The first tab comes back, and finds the store taken.
  const back = await scene.tab()
  await back.start('ada')
  await scene.online()
  await back.isConnected()
  await back.isStore('waiting')
  await second.tells('a3 acknowledged', 'a4 acknowledged', 'b2 acknowledged')
  expect(second.wire).toEqual(['b1', 'a3', 'a4', 'b2'])
  expect([first.wire, back.wire]).toEqual([['a1', 'a2'], []])
  expect(scene.ids.slice(3)).toEqual(['a3', 'a4', 'b2'])
  expect(new Set(scene.ids).size).toBe(scene.ids.length)
})

test('[C8] log-out clears: after close() nothing is stored, and nothing comes later', async () => {
  await using scene = await Scene.set()
  const tab = await scene.withTwoQueued()
  expect(await tab.storedIds()).toEqual(['a', 'b'])
  await tab.page.evaluate(() => window.outbox.logOut())
  expect(await tab.storedIds()).toEqual([])
  expect(await tab.told()).toEqual(expect.arrayContaining(['a failed closed', 'b failed closed']))
  await tab.page.reload()
  await scene.online()
  await tab.enter('ada')
  await tab.publish(TOPIC, 'later')
  await scene.hears('later')
  expect(tab.wire).toEqual(['later'])
})

test('[C8] another user’s are never sent', async () => {
  await using scene = await Scene.set()
  const tab = await scene.withTwoQueued()
  await tab.page.reload()
  await scene.online()
  await tab.enter('bob')
  await tab.tells('a failed closed', 'b failed closed')
  await tab.publish(TOPIC, 'bobs')
  await scene.hears('bobs')
  expect(scene.heard[0]?.from).toBe('bob')
  await eventually(async () => expect(await tab.storedIds()).toEqual([]))
  await tab.page.reload()
  await tab.enter('ada')
  await tab.publish(TOPIC, 'adas')
  await scene.hears('bobs', 'adas')
  expect(tab.wire).toEqual(['bobs', 'adas'])
})

test('[P5] a browser that was killed has it when it is started again', async () => {
  const profile = await mkdtemp(join(tmpdir(), 'realtime-profile-'))
  const start = (): Promise<BrowserContext> => chromium.launchPersistentContext(profile, BROWSER)
  try {
    await using scene = await Scene.set(await start())
    const tab = await scene.tab()
    await tab.enter('ada')
    await scene.offline(tab)
    await tab.publish(TOPIC, 'a', 'b', 'c')
    await tab.tells('a queued', 'b queued', 'c queued')
    const gone = new Promise((resolve) => scene.context.once('close', resolve))
    process.kill(await browserOf(profile), 'SIGKILL')
    await gone

    const again = await start()
    await serve(again, set.program ?? '')
    await scene.online().catch(() => undefined)
    const later = await Tab.open(again, scene.line.url)
    await later.enter('ada')
    await scene.hears('a', 'b', 'c')
    await later.tells('a acknowledged', 'b acknowledged', 'c acknowledged')
    expect(later.wire).toEqual(['a', 'b', 'c'])
    await again.close()
  } finally {
    await rm(profile, { recursive: true, force: true, maxRetries: 10 })
  }
})

test('[P5] where the browser gives a page no store, everything goes on in memory', async () => {
  await using scene = await Scene.set()
  const tab = await scene.tab()
  // What a browser does that has no room, or whose user wants nothing kept.
  await tab.page.evaluate(() => {
    indexedDB.open = () => {
      throw new DOMException('denied', 'SecurityError')
    }
  })
  await tab.start('ada')
  await tab.isConnected()
  await tab.isStore('failed')
  await scene.offline(tab)
  await tab.publish(TOPIC, 'a')
  await tab.tells('a queued')
  await scene.online()
  await tab.tells('a acknowledged')
  expect(await tab.page.evaluate(() => window.outbox.warnings())).toHaveLength(1)
})

/** The process id of the browser with this profile: its lock is a link to `host-pid`. */
async function browserOf(profile: string): Promise<number> {
  return Number((await readlink(join(profile, 'SingletonLock'))).split('-').at(-1))
}
