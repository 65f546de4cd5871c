import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { healthListener, type Phase } from './health.js'

test.each<[Phase, number, number]>([
  ['starting', 503, 503],
  ['serving', 200, 404],
  ['unavailable', 503, 404],
  ['closing', 503, 503],
])('while %s, it lives, readyz is %i and others are %i', async (phase, ready, others) => {
  const server = createServer(healthListener({ phase: () => phase, hostAllowed: null }))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  try {
    const statusOf = async (path: string): Promise<number> => (await fetch(url + path)).status
    expect(await statusOf('/healthz')).toBe(200)
    expect(await statusOf('/readyz')).toBe(ready)
    expect(await statusOf('/anything')).toBe(others)
  } finally {
    server.closeAllConnections()
    server.close()
  }
})
