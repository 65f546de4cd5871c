// @ts-check
// The packages as a user gets them: packed, installed with install scripts off into an empty
// project outside of the workspace, then used: the README's quick start as ES modules and through
// require(), types under three kinds of resolution, the client bundled for browsers. Each part is
// one test. `--keep` leaves the project in place and says where.
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { brotliCompressSync } from 'node:zlib'
import { build as bundle } from 'esbuild'
import { quickStart, runQuickStart, withoutTopLevelAwait } from './quick-start.mjs'
import { elapsed, ROOT, run } from './run.mjs'

const PACKAGES = ['protocol', 'client', 'server', 'disk', 'cli']
const WITH_TYPES = ['protocol', 'client', 'server', 'disk']
const SIDES = /** @type {const} */ (['server', 'client'])

/** @param {string} command @param {string[]} args @param {string} cwd @returns {Promise<string>} */
async function must(command, args, cwd) {
  const { code, output } = await run(command, args, { cwd, output: 'capture' })
  if (code !== 0) throw new Error(`${command} ${args.join(' ')}\n${output}`)
  return output
}

/** A tool of this repository, used in another folder. @param {string} bin @param {string[]} args @param {string} cwd */
const mustTool = (bin, args, cwd) =>
  must(process.execPath, [join(ROOT, 'node_modules/.bin', bin), ...args], cwd)

/** @param {string} path @returns {{ name: string, version: string, devDependencies: Record<string, string> }} */
const manifest = (path) =>
  /** @type {ReturnType<typeof manifest>} */ (
    JSON.parse(readFileSync(join(ROOT, path, 'package.json'), 'utf8'))
  )

/** @param {string} tarballs @param {string} owner @returns {string} where `npm pack` puts it */
function tarball(tarballs, owner) {
  const { name, version } = manifest(`packages/${owner}`)
  return join(tarballs, `${name.replace('@', '').replace('/', '-')}-${version}.tgz`)
}

/** @param {string} project @param {string} path @param {unknown} content */
function write(project, path, content) {
  mkdirSync(join(project, path, '..'), { recursive: true })
  const text = typeof content === 'string' ? content : JSON.stringify(content, null, 2)
  writeFileSync(join(project, path), `${text}\n`)
}

/**
 * Type-checks the quick start as a program of the user's. `skipLibCheck` stays off: what we
 * publish has to check, too.
 *
 * @param {string} project
 * @param {string} name
 * @param {'module' | 'commonjs'} type
 * @param {Record<string, string>} resolution
 */
async function typeCheck(project, name, type, resolution) {
  const folder = `types-${name}`
  write(project, `${folder}/package.json`, { type })
  for (const side of SIDES) {
    const code = quickStart(side)
    write(
      project,
      `${folder}/${side}.ts`,
      `${type === 'module' ? code : withoutTopLevelAwait(code)}\nexport {}`,
    )
  }
  const compilerOptions = {
    ...resolution,
    target: 'ES2022',
    lib: ['ES2023', 'ESNext.Disposable', 'DOM'],
    types: ['node'],
    strict: true,
    exactOptionalPropertyTypes: true,
    noEmit: true,
  }
  write(project, `${folder}/tsconfig.json`, { compilerOptions, include: ['*.ts'] })
  await mustTool('tsc', ['-p', folder, '--pretty', 'false'], project)
}

/**
 * @param {string} project
 * @param {string} entry source of the bundle's entry
 * @returns {Promise<number>} bytes after minifying and brotli
 */
async function browserBytes(project, entry) {
  const { outputFiles } = await bundle({
    stdin: { contents: entry, resolveDir: project },
    bundle: true,
    minify: true,
    platform: 'browser',
    format: 'esm',
    target: 'es2022',
    write: false,
    logLevel: 'silent',
  })
  return brotliCompressSync(outputFiles[0]?.contents ?? new Uint8Array()).length
}

/** No Node module and no polyfill: esbuild refuses what a browser does not have. @param {string} project */
async function bundleForBrowsers(project) {
  const ours = await browserBytes(project, `export * from '@bmt-central/realtime'`)
  const theirs = await browserBytes(project, `export { io } from 'socket.io-client'`)
  const kib = (/** @type {number} */ bytes) => `${(bytes / 1024).toFixed(2)} KiB`
  return `client ${kib(ours)} brotli, socket.io-client alone ${kib(theirs)}: ${kib(ours - theirs)} more`
}

/** Its store is native: the binary has to be there without any script. */
const DISK_PROGRAM = `
import { devAuth, RealtimeService } from '@bmt-central/realtime-server'
import { DiskBroker } from '@bmt-central/realtime-disk'
const service = () =>
  new RealtimeService({ authenticate: devAuth(), broker: new DiskBroker({ path: 'data' }) })
const first = service()
const { epoch, seq } = await first.publish('public:kept', 'text')
await first.close()
const second = service()
const page = await second.history('public:kept')
await second.close()
const [kept] = page.messages
if (kept?.epoch !== epoch || kept.seq !== seq || kept.payload !== 'text') process.exit(1)
`

/** @param {string} project */
async function keepsOnDisk(project) {
  writeFileSync(join(project, 'disk.mjs'), DISK_PROGRAM)
  await must(process.execPath, ['disk.mjs'], project)
  return 'published, closed, opened again, read'
}

/** No test and no compiler record may be published. @param {string} project */
function publishedFiles(project) {
  const folder = join(project, 'node_modules/@bmt-central')
  const strange = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((path) =>
    /\.test\.|\.test-d\.|\.tsbuildinfo|tsconfig/.test(path),
  )
  if (strange.length > 0) throw new Error(`published, and should not be: ${strange.join(', ')}`)
}

/**
 * @param {string} tarballs
 * @param {string} project
 * @returns {[string, () => Promise<string | void>][]} what each part shows, and how; text is printed
 */
const parts = (tarballs, project) => [
  [
    'npm pack',
    () =>
      must(
        'npm',
        [
          'pack',
          '--pack-destination',
          tarballs,
          ...PACKAGES.flatMap((owner) => ['--workspace', `packages/${owner}`]),
        ],
        ROOT,
      ).then(() => undefined),
  ],
  ...PACKAGES.map(
    (owner) =>
      /** @type {[string, () => Promise<void>]} */ ([
        `publint: ${owner}`,
        () =>
          mustTool('publint', ['run', tarball(tarballs, owner), '--strict'], ROOT).then(
            () => undefined,
          ),
      ]),
  ),
  ...WITH_TYPES.map(
    (owner) =>
      /** @type {[string, () => Promise<void>]} */ ([
        `types of every entry: ${owner}`,
        () =>
          mustTool('attw', [tarball(tarballs, owner), '--profile', 'esm-only'], ROOT).then(
            () => undefined,
          ),
      ]),
  ),
  [
    'installs with install scripts off',
    async () => {
      write(project, 'package.json', { name: 'a-user', private: true, version: '1.0.0' })
      const nodeTypes = `@types/node@${manifest('.').devDependencies['@types/node']}`
      await must(
        'npm',
        [
          'install',
          '--ignore-scripts',
          '--no-audit',
          '--no-fund',
          '--prefer-offline',
          nodeTypes,
          ...PACKAGES.map((owner) => tarball(tarballs, owner)),
        ],
        project,
      )
      publishedFiles(project)
    },
  ],
  ['bmt-realtime --help', () => must('npx', ['bmt-realtime', '--help'], project).then(() => '')],
  ['the disk broker keeps what it was given', () => keepsOnDisk(project)],
  ['quick start as ES modules', () => runQuickStart(project, 'mjs')],
  ['quick start through require()', () => runQuickStart(project, 'cjs')],
  [
    'types: ES module, node16',
    () => typeCheck(project, 'node16', 'module', { module: 'node16', moduleResolution: 'node16' }),
  ],
  [
    'types: ES module, bundler',
    () =>
      typeCheck(project, 'bundler', 'module', { module: 'esnext', moduleResolution: 'bundler' }),
  ],
  [
    'types: CommonJS, nodenext',
    () =>
      typeCheck(project, 'commonjs', 'commonjs', {
        module: 'nodenext',
        moduleResolution: 'nodenext',
      }),
  ],
  ['client bundled for browsers', () => bundleForBrowsers(project)],
]

const scratch = realpathSync(mkdtempSync(join(tmpdir(), 'pack-check-')))
const tarballs = join(scratch, 'tarballs')
const project = join(scratch, 'project')
mkdirSync(tarballs)
mkdirSync(project)
const counts = { passed: 0, failed: 0 }
for (const [what, work] of parts(tarballs, project)) {
  const startedAt = performance.now()
  try {
    const said = await work()
    counts.passed += 1
    process.stdout.write(`  ✓ ${what} (${elapsed(startedAt)})${said ? `: ${said}` : ''}\n`)
  } catch (error) {
    counts.failed += 1
    const why = error instanceof Error ? error.message : String(error)
    process.stdout.write(
      `  ✗ ${what} (${elapsed(startedAt)})\n${why.replaceAll(/^/gm, '      ')}\n`,
    )
  }
}
if (process.argv.includes('--keep')) process.stdout.write(`kept: ${project}\n`)
else rmSync(scratch, { recursive: true, force: true })

const file = process.env['REALTIME_TEST_COUNTS']
if (file === undefined) {
  process.stdout.write(`${counts.passed} passed, ${counts.failed} failed\n`)
} else {
  writeFileSync(file, JSON.stringify(counts))
}
process.exitCode = counts.failed === 0 ? 0 : 1
