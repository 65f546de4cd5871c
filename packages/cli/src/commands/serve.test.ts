import { createHmac } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { RealtimeClient, type ConnectionEvent } from '@bmt-central/realtime'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { main } from '../program.js'
import type { Environment } from '../settings.js'

const SECRET = 'a secret of at least thirty-two bytes'

interface Place {
  folder: string
  readonly clients: RealtimeClient[]
  readonly runs: Run[]
}

interface Run {
  readonly stdout: string[]
  readonly stderr: string[]
  readonly exitCode: Promise<number>
  end(): void
}

const place: Place = { folder: '', clients: [], runs: [] }

beforeEach(() => {
  place.folder = mkdtempSync(join(tmpdir(), 'realtime-serve-'))
})

afterEach(async () => {
  await Promise.all(place.clients.splice(0).map((client) => client.close()))
  for (const run of place.runs.splice(0)) {
    run.end()
    await run.exitCode
  }
  rmSync(place.folder, { recursive: true, force: true })
})

function run(args: readonly string[], environment: Environment = {}): Run {
  const [stdout, stderr]: string[][] = [[], []]
  let end = (): void => undefined
  const ended = new Promise<void>((resolve) => {
    end = resolve
  })
  const exitCode = main(['serve', ...args], {
    environment,
    stdout: { write: (line) => void stdout?.push(line) },
    stderr: { write: (line) => void stderr?.push(line) },
    ended,
  })
  const started: Run = { stdout: stdout ?? [], stderr: stderr ?? [], exitCode, end }
  place.runs.push(started)
  return started
}

/** Starts a server on any free port; gives its address once its first line has said it. */
async function serving(
  args: readonly string[],
  environment: Environment = {},
): Promise<Run & { url: string }> {
  const started = run(['--port', '0', ...args], environment)
  await expect.poll(() => started.stdout.length).toBeGreaterThan(0)
  const first = JSON.parse(started.stdout[0] ?? '') as { event: string; url: string }
  expect(first.event).toBe('listening')
  return { ...started, url: first.url }
}

function connect(url: string, auth: string): RealtimeClient {
  const client = new RealtimeClient({ url, auth, reconnect: { enabled: false } })
  place.clients.push(client)
  return client
}

interface Answer {
  status: number
  body: string
  allow: string | undefined
}

function ask(
  url: string,
  options: { method?: string; headers?: Record<string, string> } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const call = request(url, options, (response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (part: string) => (body += part))
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body, allow: response.headers.allow }),
      )
    })
    call.on('error', reject)
    call.end()
  })
}

async function freePort(): Promise<number> {
  const probe = createServer()
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve))
  const { port } = probe.address() as AddressInfo
  await new Promise((resolve) => probe.close(resolve))
  return port
}

function configFile(config: unknown): string {
  const path = join(place.folder, 'realtime.json')
  writeFileSync(path, JSON.stringify(config))
  return path
}

function token(claims: Record<string, unknown>, secret: string = SECRET): string {
  const encode = (part: unknown): string => Buffer.from(JSON.stringify(part)).toString('base64url')
  const signed = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode(claims)}`
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`
}

const inAnHour = (): number => Math.floor(Date.now() / 1_000) + 3_600
const HANDSHAKE = '/socket.io/?EIO=4&transport=polling'

describe('bmt-realtime serve', () => {
  test('[W1] serves clients, says how it is, and knows no other address', async () => {
    const { url } = await serving(['--dev'])
    const client = connect(url, 'dev:ada')
    await client.connect()
    await expect(client.publish('public:news', 'hello')).resolves.toMatchObject({ seq: 1 })
    expect(await ask(`${url}/healthz`)).toMatchObject({ status: 200, body: 'ok\n' })
    expect(await ask(`${url}/readyz?x`)).toMatchObject({ status: 200, body: 'serving\n' })
    expect(await ask(`${url}/healthz`, { method: 'HEAD' })).toMatchObject({ status: 200, body: '' })
    expect(await ask(`${url}/readyz`, { method: 'POST' })).toMatchObject({
      status: 405,
      allow: 'GET, HEAD',
    })
    expect(await ask(`${url}/other`)).toMatchObject({ status: 404 })
  })

  test('[W25] asked to end, it says so to its clients and ends with 0', async () => {
    const server = await serving(['--dev'])
    const client = new RealtimeClient({ url: server.url, auth: 'dev:ada' })
    place.clients.push(client)
    await client.connect()
    const events: ConnectionEvent[] = []
    client.onConnection((event) => events.push(event))
    server.end()
    expect(await server.exitCode).toBe(0)
    await expect.poll(() => events[0]?.error?.code).toBe('server_closing')
    await expect(ask(`${server.url}/healthz`)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    const logged = server.stdout.map((line) => (JSON.parse(line) as { event: string }).event)
    expect(logged[0]).toBe('listening')
    expect(logged).toContain('closing')
    expect(logged.at(-1)).toBe('closed')
  })

  test('[R7] rules and limits of the configuration file apply', async () => {
    const path = configFile({
      channels: [{ match: 'chat:{room}', subscribe: 'authenticated', publish: { role: 'writer' } }],
      limits: { maxPayloadBytes: 10 },
    })
    const { url } = await serving(['--dev', '--config', path])
    const [reader, writer] = [connect(url, 'dev:ada'), connect(url, 'dev:bob:writer')]
    await Promise.all([reader.connect(), writer.connect()])
    await expect(reader.publish('chat:1', 'x')).rejects.toMatchObject({ code: 'permission_denied' })
    await expect(writer.publish('chat:1', 'x')).resolves.toMatchObject({ seq: 1 })
    await expect(writer.publish('chat:1', 'x'.repeat(20))).rejects.toMatchObject({
      code: 'payload_too_large',
    })
  })

  test.each<[string, unknown, string]>([
    ['an unknown key', { chanels: [] }, '"chanels"'],
    ['an unknown key of a rule', { channels: [{ match: 'a', histry: {} }] }, 'histry'],
    ['an unknown limit', { limits: { maxConections: 1 } }, 'maxConections'],
    ['a limit out of range', { limits: { maxConnections: -1 } }, 'maxConnections'],
    ['a limit that is no number', { limits: { maxConnections: '5' } }, 'maxConnections'],
    ['limits that exclude each other', { limits: { maxPayloadBytes: 2 ** 30 } }, 'maxPayloadBytes'],
    ['a rule of a later version', { channels: [{ match: 'a', presence: true }] }, 'presence'],
    ['a wrong access', { channels: [{ match: 'a', subscribe: 'everybody' }] }, 'subscribe'],
    ['a reserved event', { events: { own: ['publish'] } }, 'publish'],
    ['a wrong origin', { cors: { origin: 'not an origin' } }, 'origin'],
  ])('refuses a configuration with %s, naming it', async (_what, config, part) => {
    const path = configFile(config)
    const { exitCode, stdout, stderr } = run(['--dev', '--port', '0', '--config', path])
    expect(await exitCode).toBe(1)
    expect(stdout).toEqual([])
    expect(stderr.join('')).toContain(part)
    expect(stderr.join('')).toContain(path)
  })

  test('takes tokens that the secret signed, of that issuer and audience, and no others', async () => {
    const server = await serving(['--jwt-issuer', 'me', '--jwt-audience', 'chat'], {
      BMT_REALTIME_JWT_SECRET: SECRET,
    })
    const claims = { sub: 'ada', iss: 'me', aud: 'chat', exp: inAnHour() }
    const client = connect(server.url, token(claims))
    await client.connect()
    expect(client.user).toMatchObject({ userId: 'ada', role: 'user' })
    for (const wrong of [
      token(claims, 'another secret of thirty-two bytes!!'),
      token({ ...claims, iss: 'you' }),
      token({ ...claims, aud: 'mail' }),
      'dev:ada',
    ]) {
      await expect(connect(server.url, wrong).connect()).rejects.toMatchObject({
        code: 'unauthenticated',
      })
    }
    expect(server.stdout.join('')).not.toContain('jwt_unchecked')
  })

  test('warns where issuer and audience of tokens are not checked', async () => {
    const server = await serving(['--jwt-secret', SECRET])
    expect(server.stdout.map((line) => JSON.parse(line) as unknown)).toContainEqual(
      expect.objectContaining({
        level: 'warn',
        event: 'jwt_unchecked',
        unchecked: ['issuer', 'audience'],
      }),
    )
  })

  test('no secret, token or payload is ever logged', async () => {
    const server = await serving(['--jwt-secret', SECRET, '--log-level', 'debug'])
    const good = token({ sub: 'ada', exp: inAnHour() })
    const bad = token({ sub: 'eve', exp: inAnHour() }, 'another secret of thirty-two bytes!!')
    const client = connect(server.url, good)
    await client.connect()
    await client.publish('public:news', { text: 'a-private-word' })
    await client.publish('private:x', { text: 'a-private-word' }).catch(() => undefined)
    await connect(server.url, bad)
      .connect()
      .catch(() => undefined)
    server.end()
    await server.exitCode
    const written = [...server.stdout, ...server.stderr].join('')
    expect(written).toContain('"event":"closed"')
    for (const secret of [SECRET, good, bad, bad.split('.')[1] ?? bad, 'a-private-word']) {
      expect(written).not.toContain(secret)
    }
  })

  test('[W9] pages of other origins are refused unless they are named', async () => {
    const { url } = await serving(['--dev', '--cors-origin', 'https://app.example'])
    const handshake = (origin: string): Promise<Answer> =>
      ask(url + HANDSHAKE, { headers: { origin } })
    expect(await handshake('https://app.example')).toMatchObject({ status: 200 })
    expect(await handshake(url)).toMatchObject({ status: 200 })
    expect(await handshake('https://evil.example')).toMatchObject({ status: 403 })
  })

  test('[W9] under --dev only local names and the one of --host are answered', async () => {
    const { url } = await serving(['--dev', '--host', 'localhost'])
    const { port } = new URL(url)
    expect(url).toBe(`http://localhost:${port}`)
    for (const path of ['/healthz', HANDSHAKE]) {
      const answer = await ask(url + path, { headers: { host: `rebound.example:${port}` } })
      expect(answer.status, path).toBe(403)
      expect((await ask(url + path, { headers: { host: `127.0.0.1:${port}` } })).status).toBe(200)
    }
  })

  test('[P6] with --data what was acknowledged is there after a restart, and one serves it at a time', async () => {
    const data = join(place.folder, 'data')
    const first = await serving(['--dev', '--data', data])
    const writer = connect(first.url, 'dev:ada')
    await writer.connect()
    const { epoch } = await writer.publish('public:news', 'kept')

    const refused = run(['--dev', '--port', '0', '--data', data])
    expect(await refused.exitCode).toBe(1)
    expect(refused.stderr.join('')).toContain(`${data} is held by another broker`)
    expect(refused.stdout).toEqual([])

    first.end()
    expect(await first.exitCode).toBe(0)
    const second = await serving(['--dev', '--data', data])
    const reader = connect(second.url, 'dev:bob')
    await reader.connect()
    const page = await reader.history('public:news')
    expect(page.messages).toMatchObject([{ payload: 'kept', epoch, seq: 1 }])
  })

  test('waiting for a directory that is held, it is alive but not ready, and ends when asked to', async () => {
    const data = join(place.folder, 'data')
    const holder = await serving(['--dev', '--data', data])
    const free = await freePort()
    const args = ['--dev', '--port', String(free), '--data', data, '--lock-wait-ms', '3600000']
    const url = `http://127.0.0.1:${free}`
    const status = (path: string): Promise<number> =>
      ask(url + path).then(
        (answer) => answer.status,
        () => 0,
      )

    const asked = run(args)
    await expect.poll(() => status('/healthz')).toBe(200)
    expect(await status('/readyz')).toBe(503)
    asked.end()
    expect(await asked.exitCode).toBe(0)
    expect(asked.stdout).toEqual([])

    const waiting = run(args)
    await expect.poll(() => status('/healthz')).toBe(200)
    holder.end()
    await expect.poll(() => status('/readyz')).toBe(200)
    expect(JSON.parse(waiting.stdout[0] ?? '')).toMatchObject({ event: 'listening', url })
  })

  test('a port that is taken is named', async () => {
    const blocker = createServer()
    await new Promise<void>((resolve) => blocker.listen(0, '127.0.0.1', resolve))
    const { port } = blocker.address() as AddressInfo
    const config = configFile({
      channels: [
        { match: 'a:*', subscribe: 'anyone' },
        { match: 'a:b', subscribe: 'nobody' },
      ],
    })
    const args = ['--dev', '--port', String(port), '--config', config]
    const { exitCode, stderr, stdout } = run(args)
    expect(await exitCode).toBe(1)
    expect(stderr.join('')).toContain(`port ${port}`)
    expect(stdout).toEqual([])
    // What was warned of before the failure stands beside it.
    expect(stderr.join('')).toContain('a:b')
    await new Promise((resolve) => blocker.close(resolve))
  })
})
