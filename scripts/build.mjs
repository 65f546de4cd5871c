// @ts-check
// `npm run build`: builds what is stale. When nothing is, it only hashes the sources: no compiler
// is started. `--force` builds all the same.
import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join, relative } from 'node:path'
import { pathToFileURL } from 'node:url'
import { elapsed, requireNode, ROOT, runTool } from './run.mjs'

/** @typedef {{ folder: string, sources: string, output: string }} Compiled */

/** In dependency order. @type {Compiled[]} */
const COMPILED = [
  { folder: 'packages/protocol', sources: 'src', output: 'dist' },
  { folder: 'packages/client', sources: 'src', output: 'dist' },
  { folder: 'packages/server', sources: 'src', output: 'dist' },
  { folder: 'packages/testing', sources: 'src', output: 'dist' },
  { folder: 'packages/disk', sources: 'src', output: 'dist' },
  { folder: 'packages/cli', sources: 'src', output: 'dist' },
  { folder: 'examples/playground', sources: 'server', output: 'dist/server' },
]
const PAGE = { folder: 'examples/playground', output: 'dist/page' }

const isTest = (/** @type {string} */ file) => /\.test(-d)?\.tsx?$/.test(file)

/** @param {string} folder @returns {string[]} sorted paths of all files below */
function filesBelow(folder) {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
}

/** @param {string[]} paths @returns {string} */
function hashOf(paths) {
  const hash = createHash('sha256')
  for (const path of paths) {
    if (!existsSync(path)) continue
    hash
      .update(`${relative(ROOT, path)}\0`)
      .update(readFileSync(path))
      .update('\0')
  }
  return hash.digest('hex')
}

/** What the compiler's output depends on. */
function hashOfCompiled() {
  return hashOf([
    join(ROOT, 'package-lock.json'),
    join(ROOT, 'tsconfig.base.json'),
    join(ROOT, 'tsconfig.build.json'),
    ...COMPILED.flatMap(({ folder, sources }) => [
      join(ROOT, folder, 'package.json'),
      join(ROOT, folder, 'tsconfig.build.json'),
      ...filesBelow(join(ROOT, folder, sources)).filter((file) => !isTest(file)),
    ]),
  ])
}

/** What the page's bundle depends on: its own files and all that was compiled. */
function hashOfPage(/** @type {string} */ compiled) {
  const folder = join(ROOT, PAGE.folder)
  const files = [
    ...['index.html', 'vite.config.ts', 'vite.config.mjs', 'package.json'].map((f) =>
      join(folder, f),
    ),
    ...filesBelow(join(folder, 'src')).filter((file) => !isTest(file)),
    ...filesBelow(join(folder, 'public')),
  ]
  return createHash('sha256').update(compiled).update(hashOf(files)).digest('hex')
}

const STAMPS = join(ROOT, '.cache/build')

/** @param {string} name @param {string} hash @param {string[]} outputs */
function isFresh(name, hash, outputs) {
  const stamp = join(STAMPS, name)
  return (
    outputs.every((output) => existsSync(join(ROOT, output))) &&
    existsSync(stamp) &&
    readFileSync(stamp, 'utf8') === hash
  )
}

/** @param {string} name @param {string} hash */
function markFresh(name, hash) {
  mkdirSync(STAMPS, { recursive: true })
  writeFileSync(join(STAMPS, name), hash)
}

/** Removes outputs whose source is gone: the compiler leaves them, and they would be published. */
function removeOrphans() {
  for (const { folder, sources, output } of COMPILED) {
    const outputFolder = join(ROOT, folder, output)
    for (const file of filesBelow(outputFolder)) {
      const path = relative(outputFolder, file)
      const stem = /^(.*?)(?:\.d\.ts|\.js)(?:\.map)?$/.exec(path)?.[1]
      if (stem === undefined) continue
      const source = join(ROOT, folder, sources, stem)
      if (!existsSync(`${source}.ts`) && !existsSync(`${source}.tsx`)) rmSync(file)
    }
    // The compiler trusts its own record, not the folder: without outputs the record must go, too.
    const record = join(outputFolder, '.tsbuildinfo')
    if (existsSync(record) && !existsSync(join(outputFolder, firstOutput(folder)))) rmSync(record)
  }
}

/** A file that a complete build has left. @param {string} folder */
function firstOutput(folder) {
  if (folder === 'packages/cli') return 'bin.js'
  return folder.startsWith('packages/') ? 'index.js' : ''
}

/** @param {string} what @param {() => Promise<{ code: number }>} work */
async function timed(what, work) {
  const startedAt = performance.now()
  process.stdout.write(`Building ${what} …\n`)
  const { code } = await work()
  if (code !== 0) throw new Error(`building ${what} failed: see above`)
  process.stdout.write(`Built ${what} in ${elapsed(startedAt)}.\n`)
}

/**
 * Builds the packages and the playground's page, each only when stale.
 *
 * @param {{ force?: boolean, page?: boolean }} [options] `page: false` leaves the page out
 */
export async function build({ force = false, page = true } = {}) {
  const compiled = hashOfCompiled()
  const outputs = COMPILED.map(({ folder, output }) => join(folder, output, firstOutput(folder)))
  if (force || !isFresh('packages', compiled, outputs)) {
    removeOrphans()
    await timed('packages', () =>
      runTool('tsc', ['-b', 'tsconfig.build.json', ...(force ? ['--force'] : [])]),
    )
    markFresh('packages', compiled)
  }
  const pageFolder = join(ROOT, PAGE.folder)
  if (!page || !statSync(join(pageFolder, 'index.html'), { throwIfNoEntry: false })) return
  const bundled = hashOfPage(compiled)
  if (force || !isFresh('page', bundled, [join(PAGE.folder, PAGE.output, 'index.html')])) {
    await timed('the page', () =>
      runTool('vite', ['build', '--logLevel', 'warn'], { cwd: pageFolder }),
    )
    markFresh('page', bundled)
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  requireNode()
  try {
    await build({ force: process.argv.includes('--force') })
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = 1
  }
}
