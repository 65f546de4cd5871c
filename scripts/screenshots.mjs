// @ts-check
// Takes the pictures of docs/images/ from the real page: `node scripts/screenshots.mjs` after a build.
// Three people talk; one loses the line meanwhile, writes on, and comes back.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { chromium } from 'playwright-core'
import { Supervisor } from '../examples/playground/dist/server/supervisor.js'
import { ROOT } from './run.mjs'

/** @typedef {import('playwright-core').Page} Page */

const FOLDER = join(ROOT, 'docs/images')

const SCENES = [
  {
    file: 'chat.png',
    locale: 'en-GB',
    names: ['Ada', 'Mei Lin', 'Jonas'],
    before: [
      [1, 'Morning! Is the new version up?'],
      [0, 'It is, since nine. The notes are at https://example.com/notes'],
      [2, 'Reading them now.'],
      [1, 'What happens when your train goes into the tunnel?'],
      [0, 'Nothing is lost. Watch: I cut my line and keep writing.'],
    ],
    offline: ['Still writing, although I am offline.', 'And this one waits behind it.'],
    meanwhile: ['We see nothing of you yet', 'But we go on here', 'See you on the other side'],
    after: [
      [0, 'Back. All there, in order, each once.'],
      [2, 'And yours came in the order in which you wrote them.'],
    ],
  },
  {
    file: 'chat-zh.png',
    locale: 'zh-CN',
    names: ['安然', '美琳', '约纳斯'],
    before: [
      [1, '早上好！新版本上线了吗？'],
      [0, '九点就上线了，说明在这里：https://example.com/notes'],
      [2, '正在看。'],
      [1, '火车进隧道的时候会怎么样？'],
      [0, '什么都不会丢。看：我切断线路，继续写。'],
    ],
    offline: ['虽然离线，我还在写。', '这一条排在它后面。'],
    meanwhile: ['我们还看不到你', '我们这边继续', '一会儿见'],
    after: [
      [0, '回来了。全都在，顺序没变，每条一次。'],
      [2, '你写的几条也按顺序到了。'],
    ],
  },
]

/** @param {string} id */
const testId = (id) => `[data-testid=${id}]`
const CONNECTED = `${testId('status')}[data-status=connected]`

/** @param {Page} page @param {string} text */
async function say(page, text) {
  await page.fill(testId('composer'), text)
  await page.press(testId('composer'), 'Enter')
}

/** @param {Page} page @param {number} count of the messages that it shows */
const shows = (page, count) =>
  page
    .locator(testId('message'))
    .nth(count - 1)
    .waitFor()

/** @param {Page} page @param {string} name */
async function enter(page, name) {
  await page.waitForSelector(CONNECTED)
  await page.fill(testId('person-name'), name)
  await page.press(testId('person-name'), 'Enter')
}

/** @param {typeof SCENES[number]} scene @param {string} url */
async function take(scene, url) {
  const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
  })
  try {
    const pages = await Promise.all(
      scene.names.map(async (name) => {
        const page = await browser.newPage({
          locale: scene.locale,
          colorScheme: 'light',
          viewport: { width: 1440, height: 900 },
        })
        await page.goto(url)
        await enter(page, name)
        return page
      }),
    )
    const [first, second] = pages
    if (first === undefined || second === undefined) throw new Error('a scene needs two people')
    let count = 0
    for (const [who, text] of /** @type {[number, string][]} */ (scene.before)) {
      const page = pages[who] ?? first
      await say(page, text)
      count += 1
      for (const other of pages) await shows(other, count)
    }
    await first.click(testId('cut'))
    for (const text of scene.offline) await say(first, text)
    for (const text of scene.meanwhile) await say(second, text)
    await shows(second, count + scene.meanwhile.length)
    await first.click(testId('cut'))
    count += scene.offline.length + scene.meanwhile.length
    for (const page of pages) await shows(page, count)
    for (const [who, text] of /** @type {[number, string][]} */ (scene.after)) {
      await say(pages[who] ?? first, text)
      count += 1
      for (const other of pages) await shows(other, count)
    }
    await second.fill(testId('composer'), '…')
    await first.locator(`${testId('typing')}:not(:empty)`).waitFor()
    await first.mouse.move(720, 300)
    // The server's figures come each second: with those of the last messages in it.
    await first.waitForTimeout(1_500)
    await second.fill(testId('composer'), '… …')
    await first.screenshot({ path: join(FOLDER, scene.file) })
    process.stdout.write(`docs/images/${scene.file}\n`)
  } finally {
    await browser.close()
  }
}

mkdirSync(FOLDER, { recursive: true })
for (const scene of SCENES) {
  // Each scene has a server with an empty memory.
  const supervisor = new Supervisor({ wantedPort: 3100, write: () => undefined })
  const port = await supervisor.start()
  try {
    if (port !== null) await take(scene, `http://localhost:${port}/`)
  } finally {
    supervisor.stop()
    process.exitCode = Math.max(await supervisor.finished, port === null ? 1 : 0)
  }
}
