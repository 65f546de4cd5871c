import { expect, test } from 'vitest'
import { resolveOptions, type RealtimeOptions } from './options.js'
import { systemRuntime } from './system-runtime.js'

const url = 'wss://rt.example.com'

test('[C3][L13][L14] defaults', () => {
  const options = resolveOptions({ url })
  expect(options).toMatchObject({
    url,
    auth: null,
    heartbeatIntervalMs: 30_000,
    reconnect: { enabled: true, maxAttempts: -1, baseMs: 1_000, capMs: 30_000 },
    maxQueueSize: 1_000,
    maxQueueBytes: 8_388_608,
    publishTimeoutMs: 10_000,
    publishDeadlineMs: 60_000,
    maxOfflineMs: 86_400_000,
    path: '/socket.io',
    transports: ['websocket', 'polling'],
    runtime: systemRuntime,
  })
  expect(Object.isFrozen(options)).toBe(true)
})

test('[C3] what is given replaces the defaults, undefined does not', () => {
  const options = resolveOptions({
    url: 'http://[::1]:3000/',
    reconnect: { maxAttempts: 3 },
    heartbeatInterval: undefined as never,
    transports: ['polling'],
    path: '/rt',
  })
  expect(options).toMatchObject({
    reconnect: { enabled: true, maxAttempts: 3, baseMs: 1_000 },
    heartbeatIntervalMs: 30_000,
    transports: ['polling'],
    path: '/rt',
  })
})

const wrong: [string, unknown, string][] = [
  ['no options', undefined, 'the options must be an object, got nothing'],
  ['no url', {}, 'the option url is missing'],
  [
    'another scheme',
    { url: 'ftp://x' },
    'and a host (`path` is an option of its own), got "ftp://x"',
  ],
  ['no host', { url: 'wss://' }, 'url must be ws://'],
  ['a path in the url', { url: 'https://x.example/rt' }, '`path` is an option of its own'],
  ['an unknown option', { url, herats: 1 }, 'there is no option herats'],
  [
    'one that only objects have',
    JSON.parse(`{"url":"${url}","__proto__":{}}`),
    'no option __proto__',
  ],
  [
    'no browser',
    { url, outboxStore: 'browser' },
    "outboxStore must be an OutboxStore, or 'browser' where there is IndexedDB (Node has none), got",
  ],
  [
    'no store',
    { url, outboxStore: {} },
    "or 'browser' where there is IndexedDB (Node has none), got object",
  ],
  [
    'a wrong number',
    { url, publishTimeoutMs: '5s' },
    'publishTimeoutMs must be a number of at least 1, got "5s"',
  ],
  [
    'not a number',
    { url, maxOfflineMs: Number.NaN },
    'maxOfflineMs must be a number of at least 1, got NaN',
  ],
  ['too many', { url, maxQueueSize: 1e9 }, 'maxQueueSize must be 1 to 100000, got 1000000000'],
  ['a wrong path', { url, path: 'rt' }, 'path must be a path that begins with /, got "rt"'],
  ['no transport', { url, transports: [] }, 'transports must be a list of websocket and polling'],
  ['another transport', { url, transports: ['smoke'] }, 'transports must be a list'],
  [
    'a wrong nested one',
    { url, reconnect: { baseMs: 0 } },
    'reconnect.baseMs must be a number of at least 1, got 0',
  ],
  [
    'an unknown nested one',
    { url, reconnect: { retries: 1 } },
    'there is no option reconnect.retries',
  ],
  ['no nested ones', { url, reconnect: null }, 'reconnect must be an object, got null'],
  [
    'a wrong switch',
    { url, reconnect: { enabled: 1 } },
    'reconnect.enabled must be true or false, got 1',
  ],
  ['no runtime', { url, runtime: {} }, 'runtime must be a Runtime, got object'],
  ['no logger', { url, logger: { info() {} } }, 'logger must be a Logger, got object'],
]

test.each(wrong)('[C1] misuse is named, option and value: %s', (_, options, message) => {
  let thrown: unknown
  try {
    resolveOptions(options as RealtimeOptions)
  } catch (error) {
    thrown = error
  }
  expect(thrown).toMatchObject({
    code: 'invalid_options',
    message: expect.stringContaining(message) as unknown,
  })
})

test('[W2] a token never stands in a message', () => {
  const auth = { token: 'secret' } as never
  expect(() => resolveOptions({ url, auth })).toThrow(
    'auth must be a string or a function, got object',
  )
})
