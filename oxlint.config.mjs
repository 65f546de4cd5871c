import { defineConfig } from 'oxlint'

// ---------------------------------------------------------------------------------------------
// The walls. What a package's sources may import of the others; a new edge is a reviewed change.
// ---------------------------------------------------------------------------------------------

/** @type {Record<string, { name: string, may: string[] }>} */
const PACKAGES = {
  protocol: { name: '@bmt-central/realtime-protocol', may: [] },
  client: { name: '@bmt-central/realtime', may: ['protocol'] },
  server: { name: '@bmt-central/realtime-server', may: ['protocol'] },
  testing: { name: '@bmt-central/realtime-testing', may: ['protocol', 'client', 'server'] },
  disk: { name: '@bmt-central/realtime-disk', may: ['protocol', 'server/broker'] },
  cli: { name: '@bmt-central/realtime-cli', may: ['protocol', 'client', 'server', 'disk'] },
}

/** Reads no clock, no chance and no timer: takes the `Runtime` port. */
const TIMELESS = ['protocol', 'client', 'server', 'testing', 'disk']
/** Knows neither Node's modules nor its globals. */
const NODELESS = ['protocol', 'client']
/** Writes to the `Logger` port only. */
const LIBRARIES = ['protocol', 'client', 'server', 'testing', 'disk']

/** The one file a package in which a library may be named. */
const SOCKET_IO_FILES = {
  client: 'packages/client/src/link/socket-io-link.ts',
  server: 'packages/server/src/transport/socket-io.ts',
}

/** Folders of one package that may not know others of the same package. */
const FOLDER_WALLS = [
  {
    of: 'server',
    folder: 'requests',
    never: ['transport'],
    why: 'requests reach subscribers through the hub and retention through the Broker port',
  },
  {
    of: 'server',
    folder: 'hub',
    never: ['broker', 'requests'],
    why: 'the hub knows who is connected here; the request or the service asks the broker',
  },
  {
    of: 'server',
    folder: 'broker',
    never: ['hub', 'requests', 'transport', 'auth', 'delivery'],
    why: "a broker never sees a connection or a user's rights",
  },
  {
    of: 'server',
    folder: 'http',
    never: ['hub'],
    why: 'HTTP surfaces have no private door: they call the service',
  },
]

const escape = (/** @type {string} */ text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
const fromFolder = (/** @type {string} */ folder) => `^\\.{1,2}/(?:.*/)?${folder}(?:/|\\.js$)`

/**
 * The WHOLE list of forbidden imports of one kind of file. Where two overrides set the same rule
 * for a file, only the last counts, silently: so every override below calls this once and never
 * adds a list of its own.
 *
 * @param {string} owner folder of the package
 * @param {{ socketIo?: boolean, testing?: boolean, test?: boolean, clock?: boolean, folder?: string }} [allowed]
 */
function restrictedImports(owner, allowed = {}) {
  const { may } = PACKAGES[owner]
  const test = allowed.test === true
  const patterns = []

  for (const [folder, { name }] of Object.entries(PACKAGES)) {
    if (folder === owner) {
      patterns.push({
        regex: `^${escape(name)}$`,
        message: `inside ${owner}, import by relative path`,
      })
    } else if (!test && may.includes(`${folder}/broker`)) {
      patterns.push({
        regex: `^${escape(name)}($|/[^b])`,
        message: `${owner} may import ${folder}/broker only`,
      })
    } else if (!may.includes(folder) && !may.includes(`${folder}/broker`)) {
      patterns.push({
        regex: `^${escape(name)}(/|$)`,
        message: `${owner} must not import ${folder}`,
      })
    }
  }
  patterns.push({
    regex: '^\\.{1,2}/(.*/)?(packages|src|dist)/|^@bmt-central/.*/(src|dist)/',
    message: 'cross packages by name and public entry, not by path',
  })
  if (!allowed.socketIo && !test) {
    patterns.push({
      regex: '^(socket\\.io|engine\\.io)',
      message: 'Socket.IO is named in one file a side only (the link, the transport)',
    })
  }
  if (!allowed.testing && !test) {
    patterns.push({
      regex:
        '^@bmt-central/.*/testing$|^\\.{1,2}/(.*/)?testing(/|\\.js$)|^(vitest|fast-check)(/|$)',
      message: 'production code never imports testing',
    })
  }
  if (NODELESS.includes(owner) && !test) {
    patterns.push({ regex: '^node:', message: `${owner} runs everywhere: no node: modules` })
  }
  if (owner === 'server' && !test) {
    patterns.push({ regex: '^node:fs(/|$)', message: 'node:fs is for disk and cli only' })
  }
  for (const wall of FOLDER_WALLS) {
    if (wall.of !== owner || wall.folder !== allowed.folder) continue
    for (const never of wall.never) {
      patterns.push({ regex: fromFolder(never), message: `${wall.folder} ↛ ${never}: ${wall.why}` })
    }
  }
  if (TIMELESS.includes(owner) && !allowed.clock && !test) {
    patterns.push({
      regex: '^node:(timers|perf_hooks)(/|$)',
      message: 'take the Runtime port instead',
    })
    patterns.push({
      regex: '^node:crypto$',
      importNames: [
        'randomUUID',
        'randomBytes',
        'randomInt',
        'randomFill',
        'randomFillSync',
        'getRandomValues',
        'webcrypto',
      ],
      message: 'take the Runtime port instead',
    })
  }
  return ['error', { patterns }]
}

const PORT = 'take the Runtime port instead: this is for system-runtime.ts'
const CLOCK_GLOBALS = [
  'Date',
  'Temporal',
  'setTimeout',
  'clearTimeout',
  'setInterval',
  'clearInterval',
  'setImmediate',
  'clearImmediate',
  'performance',
  'crypto',
]
const DOM_GLOBALS = [
  'window',
  'self',
  'document',
  'navigator',
  'location',
  'history',
  'localStorage',
  'sessionStorage',
  'indexedDB',
  'caches',
  'fetch',
  'XMLHttpRequest',
  'WebSocket',
  'BroadcastChannel',
  'addEventListener',
  'removeEventListener',
  'dispatchEvent',
  'requestAnimationFrame',
  'requestIdleCallback',
]

/**
 * The WHOLE list of forbidden globals of one kind of file, for the same reason.
 *
 * @param {string} owner
 * @param {{ clock?: boolean, dom?: boolean }} [allowed]
 */
function restrictedGlobals(owner, allowed = {}) {
  const globals = []
  if (TIMELESS.includes(owner) && !allowed.clock) {
    globals.push(...CLOCK_GLOBALS.map((name) => ({ name, message: PORT })))
  }
  if (NODELESS.includes(owner)) {
    globals.push(
      ...['process', 'Buffer', 'global', 'require'].map((name) => ({
        name,
        message: `${owner} runs everywhere: no Node globals`,
      })),
    )
    if (!allowed.dom) {
      globals.push(
        ...DOM_GLOBALS.map((name) => ({
          name,
          message: 'DOM names live in connection/wake.ts and publishing/browser-store.ts',
        })),
      )
      if (!allowed.clock) globals.push({ name: 'globalThis', message: PORT })
    }
  }
  if (owner === 'protocol') globals.push({ name: 'queueMicrotask', message: 'protocol is pure' })
  return globals.length > 0 ? ['error', ...globals] : 'off'
}

/** @param {string} owner @param {{ clock?: boolean }} [allowed] */
const restrictedProperties = (owner, allowed = {}) =>
  TIMELESS.includes(owner) && !allowed.clock
    ? [
        'error',
        { object: 'Math', property: 'random', message: PORT },
        { object: 'AbortSignal', property: 'timeout', message: PORT },
        { object: 'process', property: 'hrtime', message: PORT },
        { object: 'process', property: 'uptime', message: PORT },
        { object: 'globalThis', property: 'setTimeout', message: PORT },
        { object: 'globalThis', property: 'setInterval', message: PORT },
        { object: 'globalThis', property: 'Date', message: PORT },
        { object: 'globalThis', property: 'crypto', message: PORT },
        { object: 'globalThis', property: 'performance', message: PORT },
      ]
    : 'off'

/**
 * @param {string} owner
 * @param {string[]} files
 * @param {Parameters<typeof restrictedImports>[1] & { dom?: boolean }} [allowed]
 */
const wall = (owner, files, allowed) => ({
  files,
  rules: {
    'no-restricted-imports': restrictedImports(owner, allowed),
    'no-restricted-globals': allowed?.test ? 'off' : restrictedGlobals(owner, allowed),
    'no-restricted-properties': allowed?.test ? 'off' : restrictedProperties(owner, allowed),
  },
})

const names = Object.keys(PACKAGES)

export default defineConfig({
  plugins: ['typescript', 'import', 'eslint', 'oxc', 'unicorn', 'promise', 'vitest'],
  categories: { correctness: 'error', suspicious: 'off' },
  ignorePatterns: ['**/node_modules/**', '**/dist/**', '**/coverage/**', 'docs/api/**'],
  options: { typeAware: true, denyWarnings: true, reportUnusedDisableDirectives: 'error' },
  rules: {
    'import/no-cycle': ['error', { ignoreTypes: false }],
    'import/no-default-export': 'error',
    'unicorn/prefer-node-protocol': 'error',
    'unicorn/filename-case': ['error', { case: 'kebabCase' }],
    eqeqeq: ['error', 'always'],
    'no-var': 'error',
    'prefer-const': 'error',
    'typescript/no-floating-promises': 'error',
    'typescript/no-misused-promises': 'error',
    'typescript/await-thenable': 'error',
    'typescript/only-throw-error': 'error',
    'typescript/switch-exhaustiveness-check': [
      'error',
      { considerDefaultExhaustiveForUnions: false },
    ],
    'typescript/no-explicit-any': 'error',
    'typescript/no-unsafe-assignment': 'error',
    'typescript/no-unsafe-call': 'error',
    'typescript/no-unsafe-member-access': 'error',
    'typescript/no-unsafe-return': 'error',
    'typescript/no-unsafe-argument': 'error',
    'typescript/consistent-type-imports': 'error',
    'typescript/no-non-null-assertion': 'error',
    // A property test asserts through fast-check, a table test through a helper of its own.
    'vitest/expect-expect': [
      'error',
      { assertFunctionNames: ['expect', 'expect*', 'fc.assert', 'assert*'] },
    ],
    // The second argument of vitest's `expect` names the case in a loop.
    'vitest/valid-expect': ['error', { maxArgs: 2 }],
    'vitest/no-focused-tests': 'error',
    // Iterating over a copy is the point where listeners may stop each other meanwhile.
    'unicorn/no-useless-spread': 'off',
  },
  overrides: [
    ...names.map((owner) => wall(owner, [`packages/${owner}/src/**`])),
    ...FOLDER_WALLS.map(({ of, folder }) =>
      wall(of, [`packages/${of}/src/${folder}/**`], { folder }),
    ),
    ...Object.entries(SOCKET_IO_FILES).map(([owner, file]) =>
      wall(owner, [file], { socketIo: true }),
    ),
    wall('client', ['packages/client/src/connection/wake.ts'], { dom: true }),
    wall('client', ['packages/client/src/publishing/browser-store.ts'], { dom: true }),
    ...TIMELESS.map((owner) =>
      wall(owner, [`packages/${owner}/src/system-runtime.ts`], { clock: true }),
    ),
    ...names.map((owner) => wall(owner, [`packages/${owner}/src/testing/**`], { testing: true })),
    // The simulation is a test in itself: it takes the testing entries of the others.
    wall('testing', ['packages/testing/src/**'], { testing: true }),
    // What the tests of the server share: clients of the real wire, a clock that stands still.
    wall('server', ['packages/server/src/testing/rig/**'], { test: true }),
    ...names.map((owner) =>
      wall(owner, [`packages/${owner}/src/**/*.test.ts`, `packages/${owner}/src/**/*.test-d.ts`], {
        test: true,
      }),
    ),
    {
      files: LIBRARIES.map((owner) => `packages/${owner}/src/**`),
      rules: { 'no-console': 'error' },
    },
    {
      files: ['e2e/**', 'bench/**', 'examples/**'],
      rules: {
        'no-restricted-imports': [
          'error',
          {
            patterns: [
              {
                regex: '^\\.{1,2}/(.*/)?packages/|^@bmt-central/.*/(src|dist)/',
                message: 'use the public entries of a package, as a user would',
              },
            ],
          },
        ],
      },
    },
    {
      files: ['**/*.config.ts', '**/*.config.mjs', 'scripts/final-line.mjs'],
      rules: { 'import/no-default-export': 'off' },
    },
  ],
})
