import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { devAuth, RealtimeService } from '@bmt-central/realtime-server'
import { SLOW_RULE, WIRE_LIMITS, WIRE_ORIGIN, WIRE_OWN_EVENT, WIRE_RULES } from './server-rules.js'

/** A real server on a free port of the loopback, set up as the suite needs it. */
export async function startServer(): Promise<{ url: string; stop: () => Promise<void> }> {
  const service = new RealtimeService({
    authenticate: devAuth(),
    channels: [...WIRE_RULES, SLOW_RULE],
    limits: WIRE_LIMITS,
    cors: { origin: [WIRE_ORIGIN] },
    events: { own: [WIRE_OWN_EVENT] },
  })
  const http = createServer()
  await service.attach(http)
  service.io.on('connection', (socket) => {
    socket.on(WIRE_OWN_EVENT, (data: unknown, answer: unknown) => {
      if (typeof answer === 'function') (answer as (own: object) => void)({ own: data })
    })
  })
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  let stopping: Promise<void> | null = null
  const stop = async (): Promise<void> => {
    await service.close()
    http.closeAllConnections()
    await new Promise<void>((resolve) => http.close(() => resolve()))
  }
  return {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    stop: () => (stopping ??= stop()),
  }
}

/** A token as `devAuth` and `--dev` take it. */
export function devToken(userId: string, role?: string, permissions?: readonly string[]): string {
  const parts = ['dev', userId]
  if (role !== undefined || permissions !== undefined) parts.push(role ?? 'user')
  if (permissions !== undefined) parts.push(permissions.join(','))
  return parts.join(':')
}
