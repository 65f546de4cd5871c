import { afterAll } from 'vitest'
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
