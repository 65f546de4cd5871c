import type { Measured, RunContext } from '../scenarios/scenario.js'
import type { Contender } from '../servers/bench-server.js'
import type { Mark } from '../servers/serve.js'
import { Audience } from './audience.js'
import { topicName } from './flow.js'
import { ServerProcess } from './server-process.js'
import { sleep } from './until.js'

/** Connections before the first mark: code is compiled, pools are filled. */
const WARM_UP = 200
const SETTLE_MS = 1_000
const TOPICS = 100

const topicsOf = (index: number): string[] => [topicName(index % TOPICS)]

interface Memory {
  /** As the system sees it, before a collection. */
  readonly rssBytes: number
  /** After a collection. */
  readonly heapBytes: number
}

async function memoryOf(server: ServerProcess): Promise<Memory> {
  await sleep(SETTLE_MS)
  const { rssBytes } = await server.mark()
  const { heapBytes } = await server.mark(true)
  return { rssBytes, heapBytes }
}

/** What one connection with one subscription costs, in memory and in CPU time of connecting. */
export async function runConnections(
  connections: number,
  contender: Contender,
  context: RunContext,
): Promise<Measured> {
  const server = await ServerProcess.start(contender, context, {}, ['--expose-gc'])
  try {
    const audience = new Audience(contender, server.port)
    await audience.joinAll(WARM_UP, topicsOf, 'warm-up')
    const memoryBefore = await memoryOf(server)
    const before = await server.mark()
    const startedAt = performance.now()
    await audience.joinAll(connections, topicsOf)
    const seconds = (performance.now() - startedAt) / 1_000
    const after = await server.mark()
    const memoryAfter = await memoryOf(server)
    audience.check()
    audience.close()
    await server.stop()
    return {
      ...memoryPer(connections, memoryBefore, memoryAfter),
      ...connecting(connections, seconds, before, after),
    }
  } finally {
    await server.kill()
  }
}

const memoryPer = (connections: number, before: Memory, after: Memory): Measured => ({
  rssKiB: (after.rssBytes - before.rssBytes) / 1_024 / connections,
  heapKiB: (after.heapBytes - before.heapBytes) / 1_024 / connections,
})

function connecting(connections: number, seconds: number, before: Mark, after: Mark): Measured {
  const cpu = after.cpuSeconds - before.cpuSeconds
  return {
    cpuMicrosPerConnect: (cpu / connections) * 1e6,
    connectsPerCpuSecond: connections / cpu,
    connectsPerSecond: connections / seconds,
  }
}
