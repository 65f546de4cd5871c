import { request, type IncomingMessage } from 'node:http'
import { expect, test } from 'vitest'
import { WIRE_ORIGIN } from '../server-rules.js'
import type { WireTarget } from '../target.js'

interface Answer {
  /** The status of the answer; 101 where the WebSocket opened, 0 where the socket was just closed. */
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

/** [W9]: by plain HTTP, as a browser of a foreign page would come. */
export function originCases({ url }: WireTarget): void {
  const own = new URL(url)

  function ask(
    headers: Record<string, string>,
    more: { method?: string; query?: string; body?: string } = {},
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const outgoing = request(
        new URL(`/socket.io/?EIO=4&transport=${more.query ?? 'polling'}`, url),
        { method: more.method ?? 'GET', headers, agent: false },
        (answer) => {
          let body = ''
          answer.setEncoding('utf8')
          answer.on('data', (chunk: string) => (body += chunk))
          answer.on('end', () => {
            resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body })
          })
        },
      )
      outgoing.on('upgrade', (answer, socket) => {
        socket.destroy()
        resolve({ status: 101, headers: answer.headers, body: '' })
      })
      outgoing.on('error', (error: NodeJS.ErrnoException) => {
        if (error.code === 'ECONNRESET' || error.code === 'EPIPE') {
          resolve({ status: 0, headers: {}, body: '' })
        } else reject(error)
      })
      outgoing.end(more.body)
    })
  }

  const poll = (headers: Record<string, string>) => ask(headers)
  const upgrade = (headers: Record<string, string>) =>
    ask(
      {
        Connection: 'Upgrade',
        Upgrade: 'websocket',
        'Sec-WebSocket-Version': '13',
        'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
        ...headers,
      },
      { query: 'websocket' },
    )

  const admitted: [string, Record<string, string>][] = [
    ['no Origin: not a browser', {}],
    ['the server’s own', { Origin: own.origin }],
    ['the server’s own, by the other scheme', { Origin: `https://${own.host}` }],
    ['a listed one', { Origin: WIRE_ORIGIN }],
    [
      'a name of this machine',
      { Host: `localhost:${own.port}`, Origin: `http://localhost:${own.port}` },
    ],
  ]
  const refused: [string, Record<string, string>][] = [
    ['a foreign one', { Origin: 'https://evil.example' }],
    ['the opaque one', { Origin: 'null' }],
    ['a listed one by another scheme', { Origin: WIRE_ORIGIN.replace('https:', 'http:') }],
    ['a listed one with another port', { Origin: `${WIRE_ORIGIN}:8443` }],
    ['one that begins like a listed one', { Origin: `${WIRE_ORIGIN}.evil.example` }],
    ['another port of this machine', { Origin: `http://${own.hostname}:1` }],
    ['no URL at all', { Origin: 'evil' }],
    ['an empty one', { Origin: '' }],
  ]

  test.each(admitted)('[W9] %s: polling is answered', async (_what, headers) => {
    const answer = await poll(headers)
    expect(answer.status).toBe(200)
    expect(answer.body).toMatch(/^0\{"sid":/)
  })

  test.each(admitted)('[W9] %s: the WebSocket opens', async (_what, headers) => {
    expect((await upgrade(headers)).status).toBe(101)
  })

  test.each(refused)('[W9] %s: polling is refused with 403', async (_what, headers) => {
    const answer = await poll(headers)
    expect(answer.status).toBe(403)
    expect(answer.body).not.toContain('sid')
    expect(answer.headers['access-control-allow-origin']).toBeUndefined()
  })

  test.each(refused)('[W9] %s: the WebSocket is not opened', async (_what, headers) => {
    expect([0, 400, 403]).toContain((await upgrade(headers)).status)
  })

  test('[W9] a foreign page cannot send into a session that it has learnt of', async () => {
    const { body } = await poll({})
    const { sid } = JSON.parse(body.slice(1)) as { sid: string }
    const query = `polling&sid=${sid}`
    const foreign = { Origin: 'https://evil.example', 'Content-Type': 'text/plain' }
    expect((await ask(foreign, { method: 'POST', query, body: '40{}' })).status).toBe(403)
    expect((await ask(foreign, { query })).status).toBe(403)
    const own = await ask({ 'Content-Type': 'text/plain' }, { method: 'POST', query, body: '3' })
    expect(own.status).toBe(200)
  })

  test('[W9] a listed page may read the answers, a foreign one may not even ask', async () => {
    expect((await poll({ Origin: WIRE_ORIGIN })).headers['access-control-allow-origin']).toBe(
      WIRE_ORIGIN,
    )
    const preflight = { method: 'OPTIONS' }
    const asks = { 'Access-Control-Request-Method': 'POST' }
    const foreign = await ask({ ...asks, Origin: 'https://evil.example' }, preflight)
    expect(foreign.headers['access-control-allow-origin']).toBeUndefined()
    const listed = await ask({ ...asks, Origin: WIRE_ORIGIN }, preflight)
    expect(listed.headers['access-control-allow-origin']).toBe(WIRE_ORIGIN)
  })

  test.each([
    ['a foreign name that points here', { Host: 'evil.example' }],
    ['the same, with an Origin that fits', { Host: 'evil.example', Origin: 'http://evil.example' }],
  ])('[W9] under dev tokens the Host is checked: %s', async (_what, headers) => {
    expect((await poll(headers)).status).toBe(403)
    expect([0, 400, 403]).toContain((await upgrade(headers)).status)
  })
}
