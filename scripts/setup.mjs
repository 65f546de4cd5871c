// @ts-check
// What must be there before anything can be built: the packages of the lock file and, for the
// complete tests, four packages of Debian's. Runs before anything is installed.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { elapsed, ROOT, run } from './run.mjs'

/** @typedef {{ packages: Record<string, { version?: string, link?: boolean, optional?: boolean, peer?: boolean }> }} Lock */

/** @param {string} path @returns {Lock | null} null where there is no such file */
function readLock(path) {
  if (!existsSync(path)) return null
  return /** @type {Lock} */ (JSON.parse(readFileSync(path, 'utf8')))
}

/**
 * Whether node_modules holds what package-lock.json asks for, by npm's own record of what it
 * installed. Packages for other systems are optional and may be missing.
 */
export function isInstalled(root = ROOT) {
  const wanted = readLock(join(root, 'package-lock.json'))
  const present = readLock(join(root, 'node_modules/.package-lock.json'))
  if (wanted === null || present === null) return false
  return Object.entries(wanted.packages).every(([path, entry]) => {
    if (!path.includes('node_modules/')) return true
    const found = present.packages[path]
    if (found === undefined) return entry.optional === true || entry.peer === true
    return found.version === entry.version && existsSync(join(root, path))
  })
}

/** Installs from the lock file when needed. Rejects when that fails. */
export async function install() {
  if (isInstalled()) return
  const startedAt = performance.now()
  process.stdout.write('Installing the packages of package-lock.json (npm ci) …\n')
  const { code } = await run('npm', ['ci', '--no-audit', '--no-fund'], { waitingFor: 'npm ci' })
  if (code !== 0) throw new Error('npm ci failed: see above')
  process.stdout.write(`Installed in ${elapsed(startedAt)}.\n`)
}

/**
 * What tests need of the system: a browser that draws Chinese, and a second implementation of the
 * wire in another language, which needs one package a transport (WebSocket, polling). Debian's own
 * Python has them; another Python on the path does not.
 */
const SYSTEM_PACKAGES = [
  'chromium',
  'fonts-noto-cjk',
  'python3-socketio',
  'python3-websocket',
  'python3-requests',
]

/** @returns {Promise<string[]>} */
async function missingSystemPackages() {
  const { output } = await run(
    'dpkg-query',
    ['--show', '--showformat=${Package} ${db:Status-Status}\n', ...SYSTEM_PACKAGES],
    { output: 'capture' },
  )
  const installed = new Set(
    output
      .split('\n')
      .filter((line) => line.endsWith(' installed'))
      .map((line) => line.split(' ')[0]),
  )
  return SYSTEM_PACKAGES.filter((name) => !installed.has(name))
}

/** Installs the Debian packages that are missing, or rejects with the command that does. */
export async function installSystemPackages() {
  const missing = await missingSystemPackages()
  if (missing.length === 0) return
  const command = `apt-get update && apt-get install -y --no-install-recommends ${missing.join(' ')}`
  if (process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) {
    throw new Error(
      `the tests need ${missing.join(', ')} of Debian. Install them with\n\n    sudo sh -c '${command}'\n\n` +
        'or run a part that does without: npm test -- --only format,lint,types,unit',
    )
  }
  const startedAt = performance.now()
  process.stdout.write(`Installing ${missing.join(', ')} (apt-get) …\n`)
  const env = { DEBIAN_FRONTEND: 'noninteractive' }
  const update = await run('apt-get', ['update', '-q'], { env })
  const result = await run(
    'apt-get',
    ['install', '-y', '-q', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=300', ...missing],
    { env, waitingFor: 'apt-get install' },
  )
  if (update.code !== 0 || result.code !== 0) {
    throw new Error(`apt-get failed: see above. By hand: ${command}`)
  }
  process.stdout.write(`Installed in ${elapsed(startedAt)}.\n`)
}
