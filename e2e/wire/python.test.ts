import { execFile, execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startServer } from './start-server.js'

// Debian's own Python, not one that happens to be first on the path: it has the packages.
const PYTHON = '/usr/bin/python3'
const SUITE = fileURLToPath(new URL('wire_suite.py', import.meta.url))

interface Result {
  readonly title: string
  readonly ok: boolean
  readonly error: string | null
}

const titles = JSON.parse(execFileSync(PYTHON, [SUITE, '--list'], { encoding: 'utf8' })) as string[]
const external = process.env['WIRE_URL']
const server = external === undefined ? await startServer() : null
afterAll(() => server?.stop())

describe.each(['websocket', 'polling'])('Python over %s', (transport) => {
  const results = new Map<string, Result>()

  beforeAll(async () => {
    const url = external ?? server?.url ?? ''
    const { stdout } = await promisify(execFile)(PYTHON, [SUITE, url, transport])
    for (const line of stdout.trim().split('\n')) {
      const result = JSON.parse(line) as Result
      results.set(result.title, result)
    }
  })

  test.each(titles)('%s', (title) => {
    const result = results.get(title)
    expect(result?.error ?? null).toBeNull()
    expect(result?.ok).toBe(true)
  })
})
