import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { freePort, isPortFree } from './free-port.js'
import { Supervisor } from './supervisor.js'

/** A server process with the manners of main.ts, without what it serves. */
const SERVER = `
import { createServer } from 'node:http'
const server = createServer((request, response) => {
  response.end(request.url === '/data' ? process.argv[3] : String(process.pid))
  if (request.url === '/kill') process.send({ kind: 'kill_me' })
  if (request.url === '/crash') process.exit(3)
})
server.on('error', () => process.send({ kind: 'port_taken' }, () => process.exit(1)))
server.listen(Number(process.argv[2]), '127.0.0.1', () => process.send({ kind: 'listening' }))
process.on('SIGTERM', () => { server.close(); server.closeAllConnections(); process.disconnect() })
`

interface Place {
  folder: string
  written: string[]
  supervisor: Supervisor
}

const place = {} as Place

beforeEach(async () => {
  place.folder = mkdtempSync(join(tmpdir(), 'realtime-supervisor-'))
  const serverFile = join(place.folder, 'server.mjs')
  writeFileSync(serverFile, SERVER)
  place.written = []
  place.supervisor = new Supervisor({
    wantedPort: await freePort(41_000),
    write: (text) => void place.written.push(text),
    serverFile,
    restartDelayMs: 20,
    dataOf: (port) => `of ${port}`,
  })
})

afterEach(async () => {
  place.supervisor.stop()
  await place.supervisor.finished
  rmSync(place.folder, { recursive: true, force: true })
})

/** The pid of the process that answers, null where nobody does. */
async function ask(path: string): Promise<number | null> {
  try {
    return Number(await (await fetch(`http://127.0.0.1:${place.supervisor.port}${path}`)).text())
  } catch {
    return null
  }
}

function isAlive(pid: number | null): boolean {
  if (pid === null) return false
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

test('a server that asks for it is killed and comes back on the same port', async () => {
  const port = await place.supervisor.start()
  const first = await ask('/')
  expect(isAlive(first)).toBe(true)
  await ask('/kill')
  await expect.poll(() => isAlive(first)).toBe(false)
  await expect.poll(async () => ((await ask('/')) ?? first) !== first).toBe(true)
  expect(place.supervisor.port).toBe(port)
  expect(place.written.join('')).toContain('was killed (SIGKILL)')
})

test('the server of a port is told where that port keeps its messages', async () => {
  const port = await place.supervisor.start()
  const answer = await fetch(`http://127.0.0.1:${port}/data`)
  expect(await answer.text()).toBe(`of ${port}`)
})

test('a server that keeps ending by itself is given up', async () => {
  await place.supervisor.start()
  const crashing = async (): Promise<number | 'still there'> => {
    await ask('/crash')
    return await Promise.race([
      place.supervisor.finished,
      new Promise<'still there'>((resolve) => setTimeout(() => resolve('still there'), 20)),
    ])
  }
  await expect.poll(crashing, { timeout: 20_000 }).toBe(1)
  expect(place.written.join('')).toContain('giving up')
})

test('after the end nothing is left running', async () => {
  await place.supervisor.start()
  const { pid } = place.supervisor
  expect(isAlive(pid)).toBe(true)
  place.supervisor.stop()
  place.supervisor.stop()
  expect(await place.supervisor.finished).toBe(0)
  expect(isAlive(pid)).toBe(false)
})

test('an end while the server is away starts nothing again', async () => {
  await place.supervisor.start()
  const pid = place.supervisor.pid
  await ask('/kill')
  await expect.poll(() => isAlive(pid)).toBe(false)
  place.supervisor.stop()
  expect(await place.supervisor.finished).toBe(0)
  await expect.poll(() => isPortFree(place.supervisor.port)).toBe(true)
})

test('a server that cannot start ends with 1', async () => {
  const serverFile = join(place.folder, 'broken.mjs')
  writeFileSync(serverFile, 'process.exit(7)')
  const supervisor = new Supervisor({ wantedPort: 41_500, write: () => undefined, serverFile })
  expect(await supervisor.start()).toBeNull()
  expect(await supervisor.finished).toBe(1)
})

test('a port that is taken, on either loopback, is passed over', async () => {
  const blocker = await new Promise<Server>((resolve) => {
    const server = createServer()
    server.listen(0, '127.0.0.1', () => resolve(server))
  })
  const { port } = blocker.address() as AddressInfo
  expect(await isPortFree(port)).toBe(false)
  expect(await freePort(port)).toBeGreaterThan(port)
  await new Promise((resolve) => blocker.close(resolve))
  expect(await isPortFree(port)).toBe(true)
})
