import { closeSync, openSync, readdirSync, rmSync, statSync } from 'node:fs'
import { connect, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { RealtimeError, type Runtime } from '@bmt-central/realtime-protocol'

const NAME = /^lock\.[\w-]+\.\d+$/
/** How often a directory that is held is tried again. */
const RETRY_MS = 50
/** Who answers a connection says something at once; who is stopped by a debugger holds it still. */
const ANSWER_MS = 1_000
/** Names are drawn, so that no end of one broker unlinks the socket of another; so often is enough. */
const MOST_TRIES = 100
const DRAWN_CHARACTERS = 12

/** A directory that one broker alone uses. */
export interface DirectoryLock {
  release(): Promise<void>
}

/** What the owner of a socket says: it holds the directory, or is finding out whether it may. */
type Claim = 'holds' | 'asks'

/**
 * Holds a directory by a Unix socket inside of it: the kernel ends it with the process, and it is
 * found by whoever sees the directory, whatever namespaces they are in.
 *
 * Each one that wants it first listens on a name of its own, `lock.…`, and then asks all others. It
 * gives way to one that holds and to a lower name that asks, and waits while a higher one asks, which
 * gives way. So of several at once one holds, and never two: of any two, the one that
 * listened later sees the other.
 *
 * @throws RealtimeError `broker_unavailable` where another one holds it after `waitMs`, or `signal` aborts
 */
export async function lockDirectory(
  path: string,
  options: { readonly waitMs: number; readonly runtime: Runtime; readonly signal: AbortSignal },
): Promise<DirectoryLock> {
  const { waitMs, runtime, signal } = options
  const until = runtime.monotonicNow() + waitMs
  for (;;) {
    const lock = await tryLock(path, runtime)
    if (lock !== null) return lock
    if (signal.aborted) {
      throw new RealtimeError('broker_unavailable', `given up waiting for the directory ${path}`)
    }
    if (runtime.monotonicNow() >= until) {
      const what = `the directory ${path} is held by another broker: end that, or use another directory`
      throw new RealtimeError('broker_unavailable', what, { details: { path } })
    }
    await pause(runtime, signal)
  }
}

function pause(runtime: Runtime, signal?: AbortSignal): Promise<void> {
  return new Promise((done) => {
    const cancel = runtime.after(RETRY_MS, done)
    signal?.addEventListener('abort', () => {
      cancel()
      done()
    })
  })
}

async function tryLock(path: string, runtime: Runtime): Promise<DirectoryLock | null> {
  const directory = openSync(path, 'r')
  // A socket's path may have 107 bytes at most: through the descriptor it is short, however long.
  const base = process.platform === 'linux' ? `/proc/self/fd/${directory}` : path
  let own: Own | null = null
  const release = async (): Promise<void> => {
    const { server } = own ?? {}
    if (server !== undefined) await new Promise<void>((done) => server.close(() => done()))
    closeSync(directory)
  }
  try {
    own = await listen(path, { base, runtime })
    if (await prevails(path, { base, own, runtime })) {
      own.claim = 'holds'
      removeDead(path, own)
      return { release }
    }
  } catch (error) {
    await release()
    throw error
  }
  await release()
  return null
}

interface Own {
  readonly server: Server
  readonly name: string
  readonly inode: number
  claim: Claim
}

async function listen(
  path: string,
  { base, runtime }: { readonly base: string; readonly runtime: Runtime },
): Promise<Own> {
  const drawn = runtime.id().slice(0, DRAWN_CHARACTERS)
  for (let number = 1; number <= MOST_TRIES; number += 1) {
    const name = `lock.${drawn}.${number}`
    const claims: { own: Own | null } = { own: null }
    const server = createServer((socket) => {
      socket.on('error', () => undefined)
      socket.end(claims.own?.claim ?? 'asks')
    })
    const failure = await new Promise<NodeJS.ErrnoException | null>((done) => {
      server.once('error', done)
      server.listen(join(base, name), () => done(null))
    })
    if (failure === null) {
      server.unref()
      claims.own = { server, name, inode: statSync(join(path, name)).ino, claim: 'asks' }
      return claims.own
    }
    if (failure.code !== 'EADDRINUSE') throw failure
  }
  const what = `${path} has ${MOST_TRIES} sockets named lock.${drawn}.*: remove them`
  throw new RealtimeError('broker_unavailable', what)
}

/** Whether the directory is ours. */
async function prevails(
  path: string,
  { base, own, runtime }: { base: string; own: Own; runtime: Runtime },
): Promise<boolean> {
  for (;;) {
    let higherAsks = false
    for (const name of namesIn(path)) {
      if (name === own.name) continue
      const claim = await claimOf(join(base, name), runtime)
      if (claim === 'holds') return false
      if (claim === 'asks' && name < own.name) return false
      higherAsks ||= claim === 'asks'
    }
    // A holder that has ended since may have taken ours for a dead one.
    if (inodeOf(join(path, own.name)) !== own.inode) return false
    if (!higherAsks) return true
    await pause(runtime)
  }
}

const namesIn = (path: string): string[] => readdirSync(path).filter((name) => NAME.test(name))
const inodeOf = (path: string): number | null =>
  statSync(path, { throwIfNoEntry: false })?.ino ?? null

/** Only the one that holds does; where one is alive after all, its owner notices and asks again. */
function removeDead(path: string, own: Own): void {
  for (const name of namesIn(path)) {
    if (name !== own.name) rmSync(join(path, name), { force: true })
  }
}

/** What the owner of a socket says; null where nobody listens. */
function claimOf(path: string, runtime: Runtime): Promise<Claim | null> {
  return new Promise((done) => {
    const socket = connect(path)
    let said = ''
    const cancel = runtime.after(ANSWER_MS, () => finish('holds'))
    const finish = (claim: Claim | null): void => {
      cancel()
      socket.destroy()
      done(claim)
    }
    socket.setEncoding('utf8')
    socket.on('data', (text: string) => (said += text))
    socket.once('end', () => finish(said === 'asks' ? 'asks' : 'holds'))
    socket.once('error', ({ code }: NodeJS.ErrnoException) => {
      // These say that nobody is there; whatever else happens, somebody may be.
      const nobody = code === 'ECONNREFUSED' || code === 'ENOENT'
      const leaving = code === 'ECONNRESET' || code === 'EPIPE'
      finish(nobody ? null : leaving ? 'asks' : 'holds')
    })
  })
}
