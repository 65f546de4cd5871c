import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { RealtimeError, type Logger } from '@bmt-central/realtime-protocol'
import { DiskBroker } from '@bmt-central/realtime-disk'
import { devAuth, jwtAuth, RealtimeService, type Authenticate } from '@bmt-central/realtime-server'
import { hostCheck, isLoopbackAddress, loopbackAddressOf, urlOf } from '../address.js'
import { readConfigFile, type FileConfig } from '../config.js'
import { failed, Failure } from '../failure.js'
import { healthListener, type Phase } from '../health.js'
import type { Output } from '../output.js'
import type { ServeSettings } from '../settings.js'

/** A server that runs. */
export interface Running {
  readonly url: string
  /** Says `closing` to everybody and ends. Calling it again waits for the same end. */
  close(): Promise<void>
}

/** A secret shorter than the hash of HS256 can be guessed (RFC 7518, 3.2). */
const MIN_SECRET_BYTES = 32

/**
 * Starts a stand-alone server; resolves when it serves, or with null where it was asked to end
 * before it did: the wait for a directory can be long.
 * @throws Failure with exit code 1
 */
export async function serve(
  settings: ServeSettings,
  { logger, announce }: Pick<Output, 'logger' | 'announce'>,
  ended: Promise<void>,
): Promise<Running | null> {
  const config = settings.config === null ? {} : readConfigFile(settings.config)
  const address = await addressFor(settings)
  const service = makeService(settings, config, logger)
  const life: { phase: Phase } = { phase: 'starting' }
  const isDev = settings.authentication.kind === 'dev'
  const server = createServer(
    healthListener({
      phase: () => (life.phase === 'serving' && !service.ready ? 'unavailable' : life.phase),
      hostAllowed: isDev ? hostCheck(settings.host) : null,
    }),
  )

  const end = async (): Promise<void> => {
    life.phase = 'closing'
    await service.close()
    await closeServer(server)
  }
  void ended.then(() => (life.phase === 'starting' ? end() : undefined))
  try {
    const port = await listen(server, settings.port, address)
    await service.attach(server)
    life.phase = 'serving'
    const url = urlOf(settings.host, port)
    announce(url)
    logWarnings(settings, address, logger)
    let closing: Promise<void> | null = null
    const close = async (): Promise<void> => {
      logger.info('closing', { connections: service.getStats().connections })
      await end()
      logger.info('closed')
    }
    return { url, close: () => (closing ??= close()) }
  } catch (error) {
    const wasEnded = life.phase === 'closing'
    await end()
    if (wasEnded) return null
    throw startFailure(error, settings)
  }
}

/** The address to listen on: what was checked, where it has to be checked. */
async function addressFor(settings: ServeSettings): Promise<string> {
  const { host, authentication } = settings
  return authentication.kind === 'dev' ? await loopbackAddressOf(host) : host
}

function makeService(settings: ServeSettings, config: FileConfig, logger: Logger): RealtimeService {
  try {
    return new RealtimeService({
      ...config,
      ...(settings.corsOrigins.length > 0 && { cors: { origin: settings.corsOrigins } }),
      ...(settings.data !== null && {
        broker: new DiskBroker({ path: settings.data, lockWaitMs: settings.lockWaitMs }),
      }),
      authenticate: authenticateFor(settings),
      logger,
    })
  } catch (error) {
    const isConfig = error instanceof RealtimeError && error.code === 'invalid_options'
    if (isConfig && settings.config !== null) {
      throw failed(`${settings.config}: ${error.message}`, error)
    }
    throw startFailure(error, settings)
  }
}

function authenticateFor({ authentication, host }: ServeSettings): Authenticate {
  if (authentication.kind === 'dev') return devAuth({ hosts: [host] })
  const { secret, issuer, audience } = authentication
  return jwtAuth({ secret, issuer: issuer ?? false, audience: audience ?? false })
}

function logWarnings(settings: ServeSettings, address: string, logger: Logger): void {
  const { authentication, drainMs } = settings
  if (drainMs !== null) {
    logger.warn('drain_not_spread', {
      drainMs,
      why: 'this version ends all connections at once; spreading them comes later',
    })
  }
  if (authentication.kind === 'dev') {
    logger.warn('dev_tokens', { why: 'anybody on this machine can be anybody: not for production' })
    return
  }
  if (authentication.issuer === null || authentication.audience === null) {
    const unchecked = [
      ...(authentication.issuer === null ? ['issuer'] : []),
      ...(authentication.audience === null ? ['audience'] : []),
    ]
    logger.warn('jwt_unchecked', {
      unchecked,
      why: 'tokens made for other services with the same secret are accepted, too',
    })
  }
  if (Buffer.byteLength(authentication.secret) < MIN_SECRET_BYTES) {
    logger.warn('jwt_secret_short', { minBytes: MIN_SECRET_BYTES, why: 'it can be guessed' })
  }
  if (!isLoopbackAddress(address) && address !== 'localhost') {
    logger.info('plain_http', { why: 'put a proxy with TLS in front: tokens travel in the clear' })
  }
}

function listen(server: Server, port: number, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve((server.address() as AddressInfo).port)
    })
  })
}

/** Also where it never listened; open connections are ended, not waited for. */
async function closeServer(server: Server): Promise<void> {
  if (!server.listening) return
  await new Promise<void>((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}

function startFailure(error: unknown, { host, port }: ServeSettings): Error {
  if (error instanceof Failure) return error
  const { code } = error as { code?: unknown }
  if (code === 'EADDRINUSE') {
    return failed(`port ${port} of ${host} is taken by another program: give another --port`, error)
  }
  if (code === 'EACCES') {
    return failed(`listening on port ${port} is not permitted: give --port above 1023`, error)
  }
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    return failed(`--host ${host} is no address of this machine`, error)
  }
  return error instanceof Error ? failed(error.message, error) : failed(String(error))
}
