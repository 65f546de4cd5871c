import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { Measured } from '../scenarios/scenario.js'

const PAGE_BYTES = 4_096
const PAGES = 4_096

/** What the file system itself can do: one page written and synced after another, in a full-size file. */
export function measureSyncs(dir: string, ms: number): Measured {
  const file = openSync(join(dir, 'pages'), 'w')
  const page = Buffer.alloc(PAGE_BYTES, 1)
  try {
    for (let at = 0; at < PAGES; at += 1) writeSync(file, page, 0, PAGE_BYTES, at * PAGE_BYTES)
    fdatasyncSync(file)
    let syncs = 0
    const startedAt = performance.now()
    while (performance.now() - startedAt < ms) {
      writeSync(file, page, 0, PAGE_BYTES, (syncs % PAGES) * PAGE_BYTES)
      fdatasyncSync(file)
      syncs += 1
    }
    return { publishesPerSecond: (syncs / (performance.now() - startedAt)) * 1_000 }
  } finally {
    closeSync(file)
  }
}
