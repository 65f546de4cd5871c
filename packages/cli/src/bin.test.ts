import { spawn, type ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterEach, expect, test } from 'vitest'

const BIN = fileURLToPath(new URL('../bin/bmt-realtime.js', import.meta.url))
const children: ChildProcess[] = []

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
})

interface Started {
  readonly child: ChildProcess
  readonly lines: string[]
  readonly firstLine: Promise<string>
  readonly exit: Promise<number | string | null>
  readonly stderr: () => string
}

/** The command as it is installed: the committed file, which loads the build. */
function start(args: readonly string[], environment: Record<string, string> = {}): Started {
  const env = { ...process.env, NODE_ENV: '', ...environment }
  const child = spawn(process.execPath, [BIN, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  children.push(child)
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (part: string) => (stderr += part))
  const lines: string[] = []
  const reader = createInterface({ input: child.stdout })
  const firstLine = new Promise<string>((resolve) => reader.once('line', resolve))
  reader.on('line', (line) => lines.push(line))
  const exit = new Promise<number | string | null>((resolve) =>
    child.on('close', (code, signal) => resolve(code ?? signal)),
  )
  return { child, lines, firstLine, exit, stderr: () => stderr }
}

test.each(['SIGTERM', 'SIGINT'] as const)('%s ends the server with exit code 0', async (signal) => {
  const server = start(['serve', '--dev', '--port', '0'])
  const { event, url } = JSON.parse(await server.firstLine) as { event: string; url: string }
  expect(event).toBe('listening')
  expect((await fetch(`${url}/readyz`)).status).toBe(200)
  server.child.kill(signal)
  server.child.kill(signal)
  expect(await server.exit).toBe(0)
  for (const line of server.lines) expect(JSON.parse(line)).toHaveProperty('event')
  expect(server.lines.at(-1)).toContain('"closed"')
  expect(server.stderr()).toBe('')
})

test.each([
  ['no authentication', ['serve'], {}, 1, '--jwt-secret'],
  ['development tokens for everybody', ['serve', '--dev', '--host', '0.0.0.0'], {}, 1, '--host'],
  ['production', ['serve', '--dev'], { NODE_ENV: 'production' }, 1, 'NODE_ENV'],
  ['--redis', ['serve', '--dev', '--redis', 'redis://x'], {}, 1, '--redis is not there yet'],
  ['an unknown flag', ['serve', '--frob'], {}, 2, '--frob'],
  ['an unknown command', ['frob'], {}, 2, 'frob'],
  ['no command', [], {}, 2, 'Usage'],
  ['a port that is none', ['serve', '--dev', '--port', 'x'], {}, 2, '--port'],
])('with %s it ends and says why', async (_what, args, environment, exitCode, part) => {
  const { exit, stderr, lines } = start(args, environment)
  expect(await exit).toBe(exitCode)
  expect(stderr()).toContain(part)
  expect(lines).toEqual([])
})

test('--version and --help are no failure', async () => {
  const version = start(['--version'])
  expect(await version.firstLine).toMatch(/^\d+\.\d+\.\d+/)
  expect(await version.exit).toBe(0)
  const help = start(['serve', '--help'])
  expect(await help.exit).toBe(0)
  expect(help.lines.join('\n')).toContain('BMT_REALTIME_JWT_SECRET')
})

test('a reader that goes away does not end the server', async () => {
  const server = start(['serve', '--dev', '--port', '0', '--log-level', 'debug'])
  const { url } = JSON.parse(await server.firstLine) as { url: string }
  server.child.stdout?.destroy()
  const knock = async (): Promise<number> =>
    (
      await fetch(`${url}/socket.io/?EIO=4&transport=polling`, {
        headers: { origin: 'http://x.y' },
      })
    ).status
  expect(await knock()).toBe(403)
  expect(await knock()).toBe(403)
  expect((await fetch(`${url}/healthz`)).status).toBe(200)
  server.child.kill('SIGTERM')
  expect(await server.exit).toBe(0)
})
