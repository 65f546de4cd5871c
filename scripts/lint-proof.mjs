// @ts-check
// Proves that the checks refuse what they are there to refuse. A check that has gone blind says
// "no faults" in the same words as a clean tree does: so one fault of each kind is planted in a
// throwaway workspace with the real configuration, and each has to be found. The same workspace
// without the faults has to pass.
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { elapsed, ROOT, runTool } from './run.mjs'
import { sourceFaults } from './source-rules.mjs'

/**
 * @typedef {object} Fault
 * @property {string} what
 * @property {string} file
 * @property {string} text
 * @property {'lint' | 'source' | 'format' | 'types'} by which check has to refuse it
 * @property {string[]} finds substrings of that check's report of this file, all needed
 * @property {Record<string, string>} [beside] further files that the fault needs
 */

const P = 'packages/protocol/src'
const C = 'packages/client/src'
const S = 'packages/server/src'

/** @param {string} what @param {string} file @param {string} text @param {string[]} finds @returns {Fault} */
const lint = (what, file, text, finds) => ({ what, file, text, finds, by: 'lint' })

/** @type {Fault[]} */
const FAULTS = [
  lint(
    'package wall and Socket.IO wall in one file',
    `${C}/both-walls.ts`,
    `import { RealtimeService } from '@bmt-central/realtime-server'\nimport { io } from 'socket.io-client'\n\nexport const both: unknown[] = [RealtimeService, io]\n`,
    ['client must not import server', 'Socket.IO is named in one file'],
  ),
  lint(
    'package wall, types only',
    `${S}/type-wall.ts`,
    `import type { RealtimeClient } from '@bmt-central/realtime'\n\nexport type Wrong = RealtimeClient\n`,
    ['server must not import client'],
  ),
  lint(
    'package wall in a test',
    `${C}/wall.test.ts`,
    `import { RealtimeService } from '@bmt-central/realtime-server'\n\nexport const wrong: unknown = RealtimeService\n`,
    ['client must not import server'],
  ),
  lint(
    'a path into another package',
    `${C}/by-path.ts`,
    `import { clean } from '../../protocol/src/clean.js'\n\nexport const wrong: unknown = clean\n`,
    ['cross packages by name'],
  ),
  lint(
    'node: in a pure package',
    `${P}/node-module.ts`,
    `import { sep } from 'node:path'\n\nexport const wrong: unknown = sep\n`,
    ['no node: modules'],
  ),
  lint(
    'node:fs in the server',
    `${S}/disk.ts`,
    `import { readFileSync } from 'node:fs'\n\nexport const wrong: unknown = readFileSync\n`,
    ['node:fs is for disk and cli only'],
  ),
  lint('the clock', `${S}/clock.ts`, `export const wrong: number = Date.now()\n`, [
    'take the Runtime port',
  ]),
  lint('a timer', `${C}/timer.ts`, `setTimeout(() => undefined, 5)\n`, ['take the Runtime port']),
  lint('a timer by global object', `${S}/timer.ts`, `globalThis.setTimeout(() => undefined, 5)\n`, [
    'take the Runtime port',
  ]),
  lint('Math.random', `${C}/chance.ts`, `export const wrong: number = Math.random()\n`, [
    'take the Runtime port',
  ]),
  lint(
    'an id from node:crypto',
    `${S}/id.ts`,
    `import { randomUUID } from 'node:crypto'\n\nexport const wrong: string = randomUUID()\n`,
    ['take the Runtime port'],
  ),
  lint('a DOM name', `${C}/dom.ts`, `export const wrong: boolean = navigator.onLine\n`, [
    'DOM names live in connection/wake.ts',
  ]),
  lint(
    'production importing testing',
    `${S}/uses-testing.ts`,
    `import { virtualRuntime } from '@bmt-central/realtime-protocol/testing'\n\nexport const wrong: unknown = virtualRuntime\n`,
    ['production code never imports testing'],
  ),
  ...[
    ['requests', 'transport'],
    ['hub', 'broker'],
    ['http', 'hub'],
    ['broker', 'hub'],
    ['broker', 'requests'],
  ].map(([from, to]) => ({
    ...lint(
      `${from} importing ${to}`,
      `${S}/${from}/knows-${to}.ts`,
      `import type { Clean } from '../${to}/clean.js'\n\nexport type Wrong = Clean\n`,
      [`${from} ↛ ${to}`],
    ),
    beside: { [`${S}/${to}/clean.ts`]: `export type Clean = string\n` },
  })),
  lint(
    'a floating promise',
    `${S}/floating.ts`,
    `const work = async (): Promise<number> => 1\n\nexport function wrong(): void {\n  work()\n}\n`,
    ['no-floating-promises'],
  ),
  lint(
    'a floating promise in a test',
    `${S}/floating.test.ts`,
    `const work = async (): Promise<number> => 1\n\nexport function wrong(): void {\n  work()\n}\n`,
    ['no-floating-promises'],
  ),
  lint(
    'a missing switch case',
    `${P}/switch.ts`,
    `export function wrong(state: 'on' | 'off'): number {\n  switch (state) {\n    case 'on':\n      return 1\n  }\n  return 0\n}\n`,
    ['switch-exhaustiveness-check'],
  ),
  lint('any', `${P}/any.ts`, `export const wrong = (value: any): void => void value\n`, [
    'no-explicit-any',
  ]),
  lint(
    'any that leaks in',
    `${P}/leaked-any.ts`,
    `export function wrong(text: string): string {\n  return JSON.parse(text)\n}\n`,
    ['no-unsafe-return'],
  ),
  {
    ...lint(
      'a cycle of values',
      `${P}/cycle-a.ts`,
      `import { b } from './cycle-b.js'\n\nexport const a = (): unknown => b\n`,
      ['no-cycle'],
    ),
    beside: {
      [`${P}/cycle-b.ts`]: `import { a } from './cycle-a.js'\n\nexport const b = (): unknown => a\n`,
    },
  },
  {
    ...lint(
      'a cycle of types',
      `${P}/type-cycle-a.ts`,
      `import type { B } from './type-cycle-b.js'\n\nexport type A = { b: B } | null\n`,
      ['no-cycle'],
    ),
    beside: {
      [`${P}/type-cycle-b.ts`]: `import type { A } from './type-cycle-a.js'\n\nexport type B = { a: A } | null\n`,
    },
  },
  lint('a default export', `${P}/default.ts`, `export default 1\n`, ['no-default-export']),
  lint('console in a library', `${S}/console.ts`, `console.warn('wrong')\n`, ['no-console']),
  lint(
    'a test that asserts nothing',
    `${P}/nothing.test.ts`,
    `import { test } from 'vitest'\n\ntest('[P1] nothing', () => undefined)\n`,
    ['expect-expect'],
  ),
  {
    what: 'export *',
    file: `${P}/star.ts`,
    text: `export * from './clean.js'\n`,
    by: 'source',
    finds: ['export *'],
  },
  {
    what: 'a top-level let',
    file: `${P}/state.ts`,
    text: `let wrong = 0\n\nexport const next = (): number => (wrong += 1)\n`,
    by: 'source',
    finds: ['top-level'],
  },
  {
    what: 'a file name that says nothing',
    file: `${P}/utils.ts`,
    text: `export const wrong = 1\n`,
    by: 'source',
    finds: ['says nothing'],
  },
  {
    what: 'formatting',
    file: `${P}/format.ts`,
    text: `export const wrong = "1";\n`,
    by: 'format',
    finds: ['format.ts'],
  },
  {
    what: 'a type error',
    file: `${P}/wrong-type.ts`,
    text: `export const wrong: number = 'one'\n`,
    by: 'types',
    finds: ['TS2322'],
  },
  {
    what: 'a timer in the pure package',
    file: `${P}/timer.ts`,
    text: `setTimeout(() => undefined, 5)\n`,
    by: 'types',
    finds: ['TS2304'],
  },
  {
    what: 'an enum',
    file: `${P}/enum.ts`,
    text: `export enum Wrong {\n  a,\n}\n`,
    by: 'types',
    finds: ['TS1294'],
  },
]

/** What a workspace needs for the real configuration to apply to it. @param {string} root */
function plantCleanWorkspace(root) {
  for (const file of [
    'oxlint.config.mjs',
    'tsconfig.base.json',
    'tsconfig.test.base.json',
    '.prettierrc',
    '.prettierignore',
    'package.json',
  ]) {
    cpSync(join(ROOT, file), join(root, file))
  }
  symlinkSync(join(ROOT, 'node_modules'), join(root, 'node_modules'))
  for (const owner of ['protocol', 'client', 'server']) {
    const folder = `packages/${owner}`
    for (const file of [
      'package.json',
      'tsconfig.json',
      'tsconfig.build.json',
      'tsconfig.test.json',
    ]) {
      mkdirSync(join(root, folder), { recursive: true })
      cpSync(join(ROOT, folder, file), join(root, folder, file))
    }
    plant(root, `${folder}/src/clean.ts`, `export const clean = 1\n`)
    plant(
      root,
      `${folder}/src/clean.test.ts`,
      `import { expect, test } from 'vitest'\nimport { clean } from './clean.js'\n\ntest('clean', () => {\n  expect(clean).toBe(1)\n})\n`,
    )
  }
}

/** @param {string} root @param {string} file @param {string} text */
function plant(root, file, text) {
  mkdirSync(dirname(join(root, file)), { recursive: true })
  writeFileSync(join(root, file), text)
}

/** @typedef {{ filename: string, code: string, message: string, help?: string }} Diagnostic */

/** @param {string} output of the linter, as JSON @returns {string[]} */
function diagnostics(output) {
  const report = /** @type {{ diagnostics: Diagnostic[] }} */ (JSON.parse(output))
  return report.diagnostics.map(
    ({ filename, code, message, help = '' }) => `${filename}: ${code}: ${message} ${help}`,
  )
}

/**
 * What each check says about the workspace, one string a report line or diagnostic.
 *
 * @param {string} root
 * @returns {Promise<Record<Fault['by'], string[]>>}
 */
async function reports(root) {
  const options = { cwd: root, output: /** @type {const} */ ('capture') }
  const lintRun = await runTool(
    'oxlint',
    ['-c', 'oxlint.config.mjs', '--format', 'json', 'packages'],
    options,
  )
  const formatRun = await runTool('prettier', ['--list-different', 'packages'], options)
  const typesRun = await runTool(
    'tsc',
    ['-p', 'packages/protocol/tsconfig.build.json', '--pretty', 'false', '--noEmit'],
    options,
  )
  const lines = (/** @type {string} */ output) => output.split('\n').filter((line) => line !== '')
  return {
    lint: diagnostics(lintRun.output),
    source: sourceFaults(root),
    format: lines(formatRun.output),
    types: lines(typesRun.output),
  }
}

/** @param {string} root @returns {Promise<string[]>} what is wrong with the checks */
async function prove(root) {
  const wrong = []
  plantCleanWorkspace(root)
  const clean = await reports(root)
  const complaints = Object.values(clean)
    .flat()
    .filter((line) => line.includes('clean'))
  wrong.push(...complaints.map((line) => `refused although clean: ${line}`))

  for (const { file, text, beside = {} } of FAULTS) {
    plant(root, file, text)
    for (const [path, content] of Object.entries(beside)) plant(root, path, content)
  }
  const found = await reports(root)
  for (const { what, file, by, finds } of FAULTS) {
    const about = found[by].filter((line) => line.includes(file))
    for (const needle of finds) {
      const refused = about.some((line) => line.includes(needle))
      if (!refused) wrong.push(`NOT refused by ${by}: ${what} (${file}: expected "${needle}")`)
    }
  }
  return wrong
}

const startedAt = performance.now()
const root = realpathSync(mkdtempSync(join(tmpdir(), 'lint-proof-')))
try {
  const wrong = await prove(root)
  for (const line of wrong) process.stdout.write(`${line}\n`)
  const expected = FAULTS.reduce((sum, { finds }) => sum + finds.length, 0)
  process.stdout.write(
    `lint proof: ${expected - wrong.length} of ${expected} planted faults refused (${elapsed(startedAt)})\n`,
  )
  process.exitCode = wrong.length === 0 ? 0 : 1
} finally {
  rmSync(root, { recursive: true, force: true })
}
