import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { arch, cpus, loadavg, release, totalmem, type } from 'node:os'
import type { Cores } from './process/pinning.js'

/** What ran where: without it a figure says nothing. */
export interface Machine {
  readonly at: string
  readonly node: string
  readonly system: string
  readonly cpu: string
  readonly cores: number
  readonly memoryBytes: number
  /** Processes that wanted to run, over the last minute, before the first run. */
  readonly loadAverage: number
  readonly pinned: Cores
  readonly versions: Readonly<Record<string, string>>
  /** With `+` where the tree had changes that are not committed. */
  readonly commit: string
}

const require = createRequire(import.meta.url)

/** Packages that hide their package.json are read beside their entry. */
function versionOf(name: string): string {
  const [folder = ''] = (require.resolve.paths(name) ?? [])
    .map((path) => `${path}/${name}/package.json`)
    .filter((path) => readable(path))
  if (folder === '') return 'unknown'
  const { version } = JSON.parse(readFileSync(folder, 'utf8')) as { version: string }
  return version
}

function readable(path: string): boolean {
  try {
    readFileSync(path)
    return true
  } catch {
    return false
  }
}

function git(...args: string[]): string {
  const { status, stdout } = spawnSync('git', args, { encoding: 'utf8' })
  return status === 0 ? stdout.trim() : ''
}

export function describeMachine(pinned: Cores): Machine {
  const commit = git('rev-parse', '--short=12', 'HEAD')
  const changed = git('status', '--porcelain', '--untracked-files=no') !== ''
  return {
    at: new Date().toISOString(),
    node: process.versions.node,
    system: `${type()} ${release()} ${arch()}`,
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryBytes: totalmem(),
    loadAverage: loadavg()[0] ?? Number.NaN,
    pinned,
    versions: {
      '@bmt-central/realtime-server': versionOf('@bmt-central/realtime-server'),
      'socket.io': versionOf('socket.io'),
      'engine.io': versionOf('engine.io'),
      ws: versionOf('ws'),
    },
    commit: commit === '' ? 'unknown' : `${commit}${changed ? '+' : ''}`,
  }
}
