import { closeSync, openSync, readdirSync, rmSync } from 'node:fs'
import { connect, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { RealtimeError, type Runtime } from '@bmt-central/realtime-protocol'

const NAME = /^lock\.\d+$/
/** How often a directory that is held is tried again. */
const RETRY_MS = 50

/** A directory that this process alone uses. */
export interface DirectoryLock {
  release(): Promise<void>
}

/**
 * Holds a directory by a Unix socket inside of it: the kernel ends it with the process, and it is
 * found by whoever sees the directory, whatever namespaces they are in. Whoever holds first listens
 * and then looks whether another one answers; of two at the same time at least one sees the other.
 *
 * @throws RealtimeError `broker_unavailable` where another one holds it after `waitMs`
 */
export async function lockDirectory(
  path: string,
  waitMs: number,
  runtime: Runtime,
): Promise<DirectoryLock> {
  const until = runtime.monotonicNow() + waitMs
  for (;;) {
    const lock = await tryLock(path)
    if (lock !== null) return lock
    if (runtime.monotonicNow() >= until) {
      const what = `the directory ${path} is held by another process: end it, or use another directory`
      throw new RealtimeError('broker_unavailable', what, { details: { path } })
    }
    await new Promise<void>((done) => runtime.after(RETRY_MS, done))
  }
}

async function tryLock(path: string): Promise<DirectoryLock | null> {
  const directory = openSync(path, 'r')
  // A socket's path may have 107 bytes at most: through the descriptor it is short, however long.
  const base = process.platform === 'linux' ? `/proc/self/fd/${directory}` : path
  const own = await listenOnFree(path, base)
  const release = async (): Promise<void> => {
    if (own !== null) await new Promise<void>((done) => own.server.close(() => done()))
    closeSync(directory)
  }
  if (own === null) {
    await release()
    return null
  }
  for (const name of readdirSync(path)) {
    if (!NAME.test(name) || name === own.name) continue
    if (await answers(join(base, name))) {
      await release()
      return null
    }
    rmSync(join(path, name), { force: true })
  }
  return { release }
}

/** More dead sockets than this were left by nobody: a holder removes them. */
const MOST_NAMES = 100

async function listenOnFree(
  path: string,
  base: string,
): Promise<{ server: Server; name: string } | null> {
  for (let number = 1; number <= MOST_NAMES; number += 1) {
    const name = `lock.${number}`
    const server = createServer((socket) => socket.destroy())
    const failure = await new Promise<NodeJS.ErrnoException | null>((done) => {
      server.once('error', done)
      server.listen(join(base, name), () => done(null))
    })
    if (failure === null) {
      server.unref()
      return { server, name }
    }
    if (failure.code !== 'EADDRINUSE') throw failure
    if (await answers(join(base, name))) return null
  }
  throw new RealtimeError('broker_unavailable', `${path} has ${MOST_NAMES} dead locks: remove them`)
}

function answers(path: string): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      done(true)
    })
    socket.once('error', (error: NodeJS.ErrnoException) => {
      // Only these say that nobody is there; whatever else happens, somebody may be.
      done(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT')
    })
  })
}
