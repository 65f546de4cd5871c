import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, request, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { CONTROL_HEADER, KILL_ACTION } from './local-request.js'
import { pageListener } from './page-listener.js'
import { StaticFiles } from './static-files.js'

interface Place {
  folder: string
  server: Server
  port: number
  kills: number
}

interface Answer {
  status: number
  headers: IncomingMessage['headers']
  body: string
}

const place = {} as Place

beforeEach(async () => {
  place.folder = mkdtempSync(join(tmpdir(), 'realtime-page-'))
  const page = join(place.folder, 'page')
  mkdirSync(join(page, 'assets'), { recursive: true })
  writeFileSync(join(page, 'index.html'), '<!doctype html>')
  writeFileSync(join(page, 'assets/index-abc.js'), 'export {}')
  writeFileSync(join(page, 'assets/notes.xyz'), 'of no known type')
  writeFileSync(join(place.folder, 'secret.html'), 'not of the page')
  place.kills = 0
  await serve(() => void (place.kills += 1))
})

afterEach(async () => {
  await end()
  rmSync(place.folder, { recursive: true, force: true })
})

async function serve(kill: (() => void) | null): Promise<void> {
  const files = new StaticFiles(join(place.folder, 'page'))
  place.server = createServer(pageListener({ files, kill, durable: true }))
  await new Promise<void>((resolve) => place.server.listen(0, '127.0.0.1', resolve))
  place.port = (place.server.address() as AddressInfo).port
}

function end(): Promise<void> {
  place.server.closeAllConnections()
  return new Promise((resolve) => place.server.close(() => resolve()))
}

function ask(
  path: string,
  options: { method?: string; headers?: Record<string, string> } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const call = request({ port: place.port, host: '127.0.0.1', path, ...options }, (response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (part: string) => (body += part))
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body }),
      )
    })
    call.on('error', reject)
    call.end()
  })
}

const local = (): string => `localhost:${place.port}`
const ownPage = (): Record<string, string> => ({
  host: local(),
  origin: `http://${local()}`,
  [CONTROL_HEADER]: KILL_ACTION,
})

test('the page is never cached blindly, what has a hash in its name for ever', async () => {
  const page = await ask('/?room=tea')
  expect(page).toMatchObject({ status: 200, body: '<!doctype html>' })
  expect(page.headers).toMatchObject({
    'content-type': 'text/html; charset=utf-8',
    'cache-control': 'no-cache',
    'x-content-type-options': 'nosniff',
  })
  expect(page.headers['content-security-policy']).toContain("default-src 'none'")
  const script = await ask('/assets/index-abc.js')
  expect(script.headers['cache-control']).toContain('immutable')
  expect(script.headers['content-type']).toContain('text/javascript')
  const again = await ask('/', { headers: { 'if-none-match': page.headers.etag ?? '' } })
  expect(again).toMatchObject({ status: 304, body: '' })
})

test.each([
  '/../secret.html',
  '/..%2fsecret.html',
  '/%2e%2e/secret.html',
  '/assets/../../secret.html',
  '//secret.html',
  '/assets/notes.xyz',
  '/nothing',
  '/__proto__',
])('%s is not found', async (path) => {
  expect(await ask(path)).toMatchObject({ status: 404 })
})

test('only reading is possible', async () => {
  expect(await ask('/', { method: 'POST' })).toMatchObject({ status: 405 })
  expect(await ask('/', { method: 'HEAD' })).toMatchObject({ status: 200, body: '' })
})

test.each(['evil.example', 'localhost.evil.example', '10.0.0.1:3000'])(
  '[W9] nothing is answered to a page that calls this machine %s',
  async (host) => {
    for (const path of ['/', '/playground/status', '/playground/kill']) {
      expect(await ask(path, { headers: { host } })).toMatchObject({ status: 403 })
    }
  },
)

test('the page itself may kill the server', async () => {
  const answer = await ask('/playground/kill', { method: 'POST', headers: ownPage() })
  expect(answer.status).toBe(202)
  await expect.poll(() => place.kills).toBe(1)
})

test.each<[string, () => { method?: string; headers: Record<string, string> }]>([
  ['a GET', () => ({ method: 'GET', headers: ownPage() })],
  ['a form of another page', () => ({ headers: { host: local(), origin: 'http://evil.example' } })],
  [
    'the header with a foreign origin',
    () => ({ headers: { ...ownPage(), origin: 'http://evil.example' } }),
  ],
  [
    'the same host on another port',
    () => ({ headers: { ...ownPage(), origin: 'http://localhost:1' } }),
  ],
  ['an opaque origin', () => ({ headers: { ...ownPage(), origin: 'null' } })],
  ['a wrong header', () => ({ headers: { ...ownPage(), [CONTROL_HEADER]: 'please' } })],
  [
    'a request that the browser calls cross-site',
    () => ({ headers: { ...ownPage(), 'sec-fetch-site': 'cross-site' } }),
  ],
  ['no origin at all', () => ({ headers: { host: local(), [CONTROL_HEADER]: KILL_ACTION } })],
])('%s kills nothing', async (_what, options) => {
  const { status } = await ask('/playground/kill', { method: 'POST', ...options() })
  expect([403, 405]).toContain(status)
  expect(place.kills).toBe(0)
})

test('without a supervisor there is nothing to press', async () => {
  expect((await ask('/playground/status')).body).toBe('{"canKill":true,"durable":true}')
  await end()
  await serve(null)
  expect((await ask('/playground/status')).body).toBe('{"canKill":false,"durable":true}')
  const answer = await ask('/playground/kill', { method: 'POST', headers: ownPage() })
  expect(answer.status).toBe(404)
})
