import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import type { ClientStats, RealtimeOptions } from '@bmt-central/realtime'
import type { BrowserContext, LaunchOptions, Page } from 'playwright-core'
import { expect } from 'vitest'
import { CHROMIUM } from '../chromium.js'
import { eventually } from '../eventually.js'

/** Loopback, so that a page may use what browsers keep for secure ones. Nobody listens there. */
export const ORIGIN = 'http://127.0.0.1:1'

/** A page that no server has served may reach the loopback only where nobody has to be asked. */
export const BROWSER: LaunchOptions = {
  ...CHROMIUM,
  args: [
    ...(CHROMIUM.args ?? []),
    '--disable-features=LocalNetworkAccessChecks,LocalNetworkAccessChecksWebSockets',
  ],
}

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

/** The page's program: the client's sources, bundled as an application would. */
export async function bundlePage(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [here('page.ts')],
    bundle: true,
    platform: 'browser',
    format: 'iife',
    write: false,
    logLevel: 'silent',
    alias: {
      '@bmt-central/realtime': here('../../../packages/client/src/index.ts'),
      '@bmt-central/realtime-protocol': here('../../../packages/protocol/src/index.ts'),
    },
  })
  return outputFiles[0]?.text ?? ''
}

/** Serves it to every page of this context, with the network or without, as a service worker would. */
export async function serve(
  context: BrowserContext,
  program: string,
  headers: Record<string, string> = {},
): Promise<void> {
  const body = `<!doctype html><title>outbox</title><script>${program.replaceAll('</', '<\\/')}</script>`
  await context.route(`${ORIGIN}/**`, (route) =>
    route.fulfill({ contentType: 'text/html; charset=utf-8', headers, body }),
  )
}

/** One tab in which the page is open, for as many reloads as a test likes. */
export class Tab {
  readonly page: Page
  /** The ids of all publishes that this tab has put on the wire, counted at its sockets. */
  readonly wire: string[] = []
  readonly #url: string

  private constructor(page: Page, url: string) {
    this.page = page
    this.#url = url
    page.on('websocket', (socket) => {
      socket.on('framesent', ({ payload }) => {
        const [event, data] = eventOf(String(payload))
        if (event === 'publish' && data !== undefined) this.wire.push(data.messageId)
      })
    })
  }

  static async open(context: BrowserContext, url: string): Promise<Tab> {
    const tab = new Tab(await context.newPage(), url)
    await tab.page.goto(ORIGIN)
    return tab
  }

  async start(user: string, options: Partial<RealtimeOptions> = {}): Promise<void> {
    await this.page.evaluate((all) => window.outbox.start(all), {
      url: this.#url,
      auth: `dev:${user}`,
      ...options,
    })
  }

  isConnected(): Promise<void> {
    return this.isStatus('connected')
  }

  async isStatus(status: ClientStats['status']): Promise<void> {
    await eventually(() => expectFigure(this, 'status', status))
  }

  /** The store is this tab's; `waiting`: it is another one's. */
  async isStore(state: ClientStats['outboxStore']): Promise<void> {
    await eventually(() => expectFigure(this, 'outboxStore', state))
  }

  /** A person's tab: connected once, holding the store. */
  async enter(user: string): Promise<void> {
    await this.start(user)
    await this.isConnected()
    await this.isStore('held')
  }

  async publish(topic: string, ...ids: string[]): Promise<void> {
    for (const id of ids) {
      await this.page.evaluate(([to, name]) => window.outbox.publish(to, { text: name }, name), [
        topic,
        id,
      ] as const)
    }
  }

  async listen(topic: string): Promise<void> {
    await this.page.evaluate((to) => window.outbox.listen(to), topic)
  }

  async hears(...ids: string[]): Promise<void> {
    await eventually(() => expectHeard(this, ids))
  }

  told(): Promise<string[]> {
    return this.page.evaluate(() => window.outbox.told())
  }

  async tells(...lines: string[]): Promise<void> {
    await eventually(() => expectTold(this, lines))
  }

  stats(): Promise<ClientStats> {
    return this.page.evaluate(() => window.outbox.stats())
  }

  /** What the browser itself has, read past the client. */
  async stored(): Promise<unknown[]> {
    return this.page.evaluate(async () => {
      const [database] = await indexedDB.databases()
      if (database?.name === undefined) return []
      const opening = indexedDB.open(database.name)
      const done = <Result>(request: IDBRequest<Result>): Promise<Result> =>
        new Promise((resolve, reject) => {
          request.onsuccess = () => resolve(request.result)
          request.onerror = () => reject(request.error ?? new Error('no reason'))
        })
      const opened = await done(opening)
      const values: unknown[] = await done(
        opened.transaction('publishes').objectStore('publishes').getAll(),
      )
      opened.close()
      return values
    })
  }

  async storedIds(): Promise<string[]> {
    return (await this.stored()).map((value) => (value as { id: string }).id)
  }
}

async function expectFigure(
  tab: Tab,
  name: 'status' | 'outboxStore',
  value: unknown,
): Promise<void> {
  expect((await tab.stats())[name]).toBe(value)
}

async function expectTold(tab: Tab, lines: readonly string[]): Promise<void> {
  expect(await tab.told()).toEqual(expect.arrayContaining([...lines]))
}

async function expectHeard(tab: Tab, ids: readonly string[]): Promise<void> {
  expect(await tab.page.evaluate(() => window.outbox.heard())).toEqual(ids)
}

/** What is in a frame of Socket.IO's; nothing where it is no event. */
function eventOf(frame: string): [string, { messageId: string }] | [] {
  const json = /^42\d*(\[.*\])$/s.exec(frame)?.[1]
  return json === undefined ? [] : (JSON.parse(json) as [string, { messageId: string }])
}
