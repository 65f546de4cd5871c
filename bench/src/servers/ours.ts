import { DiskBroker } from '@bmt-central/realtime-disk'
import {
  jwtAuth,
  MemoryBroker,
  RealtimeService,
  type Broker,
  type Limits,
} from '@bmt-central/realtime-server'
import {
  TOKEN_SECRET,
  type BenchServer,
  type Contender,
  type ServerOptions,
} from './bench-server.js'
import { closeHttp, listen, newHttpServer } from './http.js'

const MUCH = 1_000_000_000

/** Every check is made, none refuses. */
const OPEN_LIMITS: Partial<Limits> = {
  publishesPerSecond: MUCH,
  publishBurst: MUCH,
  publishBytesPerSecond: MUCH,
  publishBytesBurst: MUCH,
  requestsPerSecond: MUCH,
  requestBurst: MUCH,
}

/**
 * All promises on: a token for each connection, a rule with a wildcard for both rights, a history of
 * 1,000, idempotency, acknowledgements.
 */
export async function startOurs(
  contender: Contender,
  options: ServerOptions,
): Promise<BenchServer> {
  const service = new RealtimeService({
    authenticate: jwtAuth({ secret: TOKEN_SECRET, issuer: false, audience: false }),
    channels: [
      {
        match: 'bench:{room}',
        subscribe: 'authenticated',
        publish: 'authenticated',
        history: { size: 1_000 },
      },
    ],
    broker: brokerOf(contender, options.dataDir),
    limits: OPEN_LIMITS,
  })
  const http = newHttpServer()
  await service.attach(http)
  const port = await listen(http, options.port)
  const stop = async (): Promise<void> => {
    await service.close()
    await closeHttp(http)
  }
  return { port, stop }
}

function brokerOf(contender: Contender, path: string | null): Broker {
  if (contender !== 'ours-disk-always' && contender !== 'ours-disk-interval') {
    return new MemoryBroker()
  }
  if (path === null) throw new Error(`${contender} needs a directory`)
  return new DiskBroker({ path, fsync: contender === 'ours-disk-always' ? 'always' : 'interval' })
}
