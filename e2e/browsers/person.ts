import type {
  Browser,
  BrowserContext,
  BrowserContextOptions,
  Page,
  WebSocket,
} from 'playwright-core'
import { expect } from 'vitest'
import { eventually, PATIENCE_MS } from './eventually.js'

/** What a person sees of one message. */
export interface ShownMessage {
  readonly id: string
  readonly text: string
  readonly own: boolean
  /** From before the server lost its memory. */
  readonly old: boolean
  /** `received` for those of others. */
  readonly state: 'queued' | 'sent' | 'acknowledged' | 'failed' | 'received'
  /** `unknown` where a failed one may have arrived. */
  readonly outcome: string
  readonly seq: number
  readonly epoch: string
  /** What the mark of an own message says; empty for those of others. */
  readonly delivery: string
}

export interface Visit {
  /** Of the playground. */
  readonly address: string
  readonly room: string
  readonly context?: BrowserContextOptions
  /** Runs in the page ahead of everything else. */
  readonly before?: () => void
}

const PATIENCE = { timeout: PATIENCE_MS }

/**
 * What the browser itself says where the network is gone, or where something is sent between a cut
 * and the socket's own end: no fault of the page.
 */
const NETWORK_COMPLAINT =
  /^WebSocket connection to 'ws:[^']*' failed|^WebSocket is already in CLOSING|^Failed to load resource: net::ERR_/

/** Somebody at the chat, in a window of their own. */
export class Person implements AsyncDisposable {
  readonly page: Page
  readonly context: BrowserContext
  /** What the page did wrong: errors and warnings of its console, exceptions nobody caught. */
  readonly faults: string[] = []
  /** Where the page has asked for anything: protocol, name and port. */
  readonly origins: Set<string> = new Set()
  /** All that the page has opened, the newest last. */
  readonly sockets: WebSocket[] = []

  private constructor(context: BrowserContext, page: Page) {
    this.context = context
    this.page = page
    page.on('console', (message) => {
      const { url } = message.location()
      const text = message.text()
      if (!['error', 'warning'].includes(message.type()) || NETWORK_COMPLAINT.test(text)) return
      this.faults.push(`${text} (${url})`)
    })
    page.on('pageerror', (error) => this.faults.push(error.stack ?? error.message))
    page.on('request', (request) => this.origins.add(new URL(request.url()).origin))
    page.on('websocket', (socket) => {
      this.origins.add(new URL(socket.url()).origin)
      this.sockets.push(socket)
    })
  }

  /** A new person in a browser that knows nothing of them, in the room and connected. */
  static async enter(browser: Browser, visit: Visit): Promise<Person> {
    const context = await browser.newContext({
      locale: 'en-GB',
      viewport: { width: 1440, height: 900 },
      ...visit.context,
    })
    const person = new Person(context, await context.newPage())
    if (visit.before !== undefined) await context.addInitScript(visit.before)
    await person.page.goto(`${visit.address}/?room=${encodeURIComponent(visit.room)}`)
    await person.isConnected()
    return person
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.context.close()
  }

  /** Somebody else, in the window that this one has opened. */
  static inWindow(page: Page): Person {
    return new Person(page.context(), page)
  }

  async isConnected(): Promise<void> {
    await this.page.locator('[data-testid=status][data-status=connected]').waitFor(PATIENCE)
  }

  status(): Promise<string | null> {
    return this.page.getByTestId('status').getAttribute('data-status')
  }

  /** Types a text and sends it with Enter. */
  async write(text: string): Promise<void> {
    const composer = this.page.getByTestId('composer')
    await composer.fill(text)
    await composer.press('Enter')
  }

  /** The messages of the open room, in the order in which they stand. */
  messages(): Promise<ShownMessage[]> {
    return this.page.getByTestId('message').evaluateAll((rows) =>
      rows.map((row) => {
        const { id, state, outcome, seq, epoch, own, old } = row.dataset
        return {
          id: id ?? '',
          text: row.querySelector('[data-testid=message-text]')?.textContent ?? '',
          own: own === 'true',
          old: old === 'true',
          state: (state ?? '') as ShownMessage['state'],
          outcome: outcome ?? '',
          seq: Number(seq),
          epoch: epoch ?? '',
          delivery: row.querySelector('[data-testid=delivery]')?.textContent ?? '',
        }
      }),
    )
  }

  async texts(): Promise<string[]> {
    return (await this.messages()).map(({ text }) => text)
  }

  /** The state of one own message; undefined where it is not shown. */
  async stateOf(text: string): Promise<ShownMessage['state'] | undefined> {
    return (await this.messages()).find((message) => message.text === text)?.state
  }

  /** Waits until all of these are shown, in whatever order. */
  async sees(texts: readonly string[]): Promise<void> {
    await eventually(async () => {
      const shown = new Set(await this.texts())
      const missing = texts.filter((text) => !shown.has(text))
      if (missing.length > 0) throw new Error(`not shown: ${missing.join(' | ')}`)
    })
  }

  /** One of the inspector's figures. */
  figure(name: string): Promise<string | null> {
    return this.page.locator(`[data-figure=${name}]`).textContent()
  }
}

/** Nothing in the console, and nobody asked but the playground itself. */
export function expectCleanPages(...people: readonly Person[]): void {
  for (const { faults, origins, page } of people) {
    expect(faults).toEqual([])
    const { host } = new URL(page.url())
    expect([...origins].filter((origin) => new URL(origin).host !== host)).toEqual([])
  }
}
