import { virtualRuntime, type VirtualRuntime } from '@bmt-central/realtime-protocol/testing'
import { onTestFinished } from 'vitest'
import type { ConnectionEvent } from '../connection/driver.js'
import type { RealtimeOptions } from '../options.js'
import type { OutboxEvent } from '../publishing/outbox.js'
import { RealtimeClient } from '../realtime-client.js'
import { FakeServer, type FakeLink } from './fake-server.js'

/** A client in virtual time whose links end in a fake server. */
export interface TestClient {
  readonly client: RealtimeClient
  readonly server: FakeServer
  readonly runtime: VirtualRuntime
  /** What `onConnection` told. */
  readonly events: ConnectionEvent[]
  /** What `onOutbox` told. */
  readonly outbox: OutboxEvent[]
  /** What was logged. */
  readonly logs: { level: string; event: string; fields: object | undefined }[]
  /** The network or the page tells. */
  readonly wake: () => void
  /** Connects, and gives the link once it is admitted. */
  readonly connected: () => Promise<FakeLink>
}

export function testClient(
  options: Partial<RealtimeOptions> & { runtime?: VirtualRuntime } = {},
): TestClient {
  const runtime = options.runtime ?? virtualRuntime()
  const server = new FakeServer()
  const logs: TestClient['logs'] = []
  const log = (level: string) => (event: string, fields?: object) => {
    logs.push({ level, event, fields })
  }
  const listeners = new Set<() => void>()
  const client = new RealtimeClient(
    {
      url: 'ws://localhost',
      runtime,
      logger: { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') },
      ...options,
    },
    {
      createLink: server.createLink,
      wake: (listener) => {
        listeners.add(listener)
        return () => listeners.delete(listener)
      },
    },
  )
  const events: ConnectionEvent[] = []
  const outbox: OutboxEvent[] = []
  client.onConnection((event) => events.push(event))
  client.onOutbox((event) => outbox.push(event))
  onTestFinished(async () => {
    await client.close()
    await runtime.settle()
    // Whatever a test did: a closed client leaves no timer and no listener behind.
    if (runtime.pendingTimers > 0)
      throw new Error(`${runtime.pendingTimers} timers were left behind`)
    if (listeners.size > 0) throw new Error('a listener for wake-ups was left behind')
  })
  return {
    client,
    server,
    runtime,
    events,
    outbox,
    logs,
    wake: () => listeners.forEach((listener) => listener()),
    connected: async () => {
      await client.connect()
      await runtime.settle()
      return server.link
    },
  }
}

/** How a promise stands, without waiting for it. */
export async function outcome(promise: Promise<unknown>): Promise<unknown> {
  const pending = Symbol('pending')
  return Promise.race([
    promise.then(
      () => 'resolved',
      (error: unknown) => (error as { code?: unknown }).code ?? error,
    ),
    // Two turns: one for `then` above, one for the race.
    Promise.resolve()
      .then(() => undefined)
      .then(() => pending),
  ]).then((result) => (result === pending ? 'pending' : result))
}

/** What a promise rejects with; awaited later than it is made, so that nothing is unhandled. */
export function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => 'it did not reject',
    (error: unknown) => error,
  )
}
