import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url))
const exactly = (name: string): RegExp => new RegExp(`^${name}$`)

// Tests run against the sources: no build stands between an edit and its test. Every name is
// matched exactly, so that a package never swallows its own subpaths.
const alias = [
  {
    find: exactly('@bmt-central/realtime-protocol/testing'),
    replacement: here('packages/protocol/src/testing/index.ts'),
  },
  {
    find: exactly('@bmt-central/realtime-server/broker'),
    replacement: here('packages/server/src/broker/index.ts'),
  },
  {
    find: exactly('@bmt-central/realtime-server/testing'),
    replacement: here('packages/server/src/testing/index.ts'),
  },
  {
    find: exactly('@bmt-central/realtime-disk'),
    replacement: here('packages/disk/src/index.ts'),
  },
  {
    find: exactly('@bmt-central/realtime-protocol'),
    replacement: here('packages/protocol/src/index.ts'),
  },
  {
    find: exactly('@bmt-central/realtime-server'),
    replacement: here('packages/server/src/index.ts'),
  },
  { find: exactly('@bmt-central/realtime'), replacement: here('packages/client/src/index.ts') },
]

// Under other releases of Node the browser would only be the same browser again.
const browsers = process.env['REALTIME_WITHOUT_BROWSERS'] === undefined ? [] : ['browsers/**']

const project = (name: string, root: string, testTimeout = 10_000) => ({
  resolve: { alias },
  test: {
    name,
    root: here(root),
    environment: 'node' as const,
    include: ['**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/dist/**', ...browsers],
    testTimeout,
    hookTimeout: testTimeout,
    typecheck: { enabled: false },
  },
})

export default defineConfig({
  test: {
    projects: [
      project('protocol', 'packages/protocol'),
      project('client', 'packages/client'),
      project('server', 'packages/server'),
      project('testing', 'packages/testing', 120_000),
      project('disk', 'packages/disk', 60_000),
      project('cli', 'packages/cli', 30_000),
      project('playground', 'examples/playground', 30_000),
      project('bench', 'bench'),
      project('e2e', 'e2e', 120_000),
    ],
    passWithNoTests: true,
    reporters: ['default', './scripts/final-line.mjs'],
    coverage: {
      provider: 'v8',
      include: ['packages/*/src/**/*.ts'],
      exclude: ['**/*.test.ts', '**/*.test-d.ts'],
      reporter: ['text'],
    },
  },
})
