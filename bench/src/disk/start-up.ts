import { statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Child } from '../process/channel.js'
import type { Measured, RunContext } from '../scenarios/scenario.js'
import { DAY_MS } from './store.js'
import type { Opened, StoreCommand, StoreSize } from './store-process.js'

const MODULE = fileURLToPath(new URL('store-process.js', import.meta.url))
/** Too short for any id to be remembered. */
const SHORT_MS = 1
const TOPICS = 1_000

/** Does something with the store in a process of its own, which is then closed or killed. */
async function inProcess<T>(
  command: StoreCommand,
  end: 'close' | 'kill',
  { serverCore, serverFlags }: RunContext,
): Promise<T> {
  const child = new Child({ module: MODULE, core: serverCore, nodeFlags: serverFlags })
  try {
    const result = await child.ask<T>(command)
    if (end === 'close') {
      await child.ask<null>({ do: 'close' } satisfies StoreCommand)
      await child.leave()
    }
    return result
  } finally {
    await child.kill()
  }
}

/**
 * Fills a store and opens it twice: after it was closed, and after its process was killed. Nothing is
 * dropped from the system's file cache in between.
 */
export async function runStartUp(
  messages: number,
  remembersIds: boolean,
  context: RunContext,
): Promise<Measured> {
  const windowMs = remembersIds ? DAY_MS : SHORT_MS
  const size: StoreSize = { path: context.dataDir, messages, topics: TOPICS, windowMs }
  const began = performance.now()
  await inProcess<null>({ do: 'fill', ...size }, 'close', context)
  const fillMs = performance.now() - began
  const clean = await inProcess<Opened>({ do: 'open', ...size }, 'kill', context)
  const killed = await inProcess<Opened>({ do: 'open', ...size }, 'close', context)
  return {
    cleanStartMs: clean.startMs,
    killedStartMs: killed.startMs,
    cleanReadMs: clean.firstReadMs,
    killedReadMs: killed.firstReadMs,
    cleanPublishMs: clean.firstPublishMs,
    killedPublishMs: killed.firstPublishMs,
    rssMiB: killed.rssBytes / 2 ** 20,
    storeMiB: statSync(join(size.path, 'store.lmdb')).size / 2 ** 20,
    fillMs,
  }
}
