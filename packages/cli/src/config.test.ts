import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readConfigFile } from './config.js'
import { Failure } from './failure.js'

const place = { folder: '', file: '' }

beforeEach(() => {
  place.folder = mkdtempSync(join(tmpdir(), 'realtime-cli-'))
  place.file = join(place.folder, 'realtime.json')
})

afterEach(() => rmSync(place.folder, { recursive: true, force: true }))

function read(text: string): ReturnType<typeof readConfigFile> {
  writeFileSync(place.file, text)
  return readConfigFile(place.file)
}

function failureOf(run: () => unknown): Failure {
  try {
    run()
  } catch (error) {
    if (error instanceof Failure) return error
    throw error
  }
  throw new Error('it was accepted')
}

test('rules, limits, cors and events are read as they stand', () => {
  const config = {
    channels: [{ match: 'chat:{room}', subscribe: 'authenticated', publish: 'authenticated' }],
    limits: { maxConnections: 10 },
    cors: { origin: ['https://app.example.com'] },
    events: { own: ['cursor'] },
  }
  expect(read(JSON.stringify(config))).toEqual(config)
})

test('a byte order mark is no fault', () => {
  expect(read('\uFEFF{"limits":{}}')).toEqual({ limits: {} })
})

test.each([
  ['an unknown key', '{"chanels":[]}', '"chanels"'],
  ['a key that is a flag', '{"port":3000}', 'use --port'],
  ['a key for programs', '{"authenticate":"x"}', 'use --jwt-secret or --dev'],
  ['a prototype', '{"__proto__":{}}', '"__proto__"'],
  ['a missing value', '{"limits":{"maxConnections":null}}', 'limits.maxConnections'],
  ['a missing value in a list', '{"channels":[{"match":null}]}', 'channels[0].match'],
  ['a list', '[]', 'must be a JSON object'],
  ['broken JSON', '{', 'is no JSON'],
])('refuses %s with exit code 1, naming file and key', (_what, text, part) => {
  const failure = failureOf(() => read(text))
  expect(failure.exitCode).toBe(1)
  expect(failure.message).toContain(part)
  expect(failure.message).toContain(place.file)
})

test('a file that is not there is named', () => {
  expect(() => readConfigFile(join(place.folder, 'missing.json'))).toThrow('missing.json')
})
