import { readFileSync } from 'node:fs'
import { afterAll, expect, test } from 'vitest'
import { WIRE_LIMITS, WIRE_ORIGIN, WIRE_OWN_EVENT, WIRE_RULES } from './server-rules.js'
import { devToken, startServer } from './start-server.js'
import { wireSuite } from './suite.js'

// Against a server of its own, or any other: WIRE_URL=http://127.0.0.1:3000 npx vitest run e2e/wire
// (what it must be set to is in server-rules.ts).
const external = process.env['WIRE_URL']
if (external === undefined) {
  const server = await startServer()
  afterAll(() => server.stop())
  wireSuite({
    url: server.url,
    token: devToken,
    own: { another: startServer },
  })
} else {
  wireSuite({ url: external, token: devToken })
}

test('[W1] server.json sets up `serve` as server-rules.ts sets up a server of its own', () => {
  expect(JSON.parse(readFileSync(new URL('server.json', import.meta.url), 'utf8'))).toEqual({
    channels: WIRE_RULES,
    limits: WIRE_LIMITS,
    cors: { origin: [WIRE_ORIGIN] },
    events: { own: [WIRE_OWN_EVENT] },
  })
})
