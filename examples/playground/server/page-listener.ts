import type { IncomingMessage, ServerResponse } from 'node:http'
import { isLocalHost, isOwnPage, KILL_ACTION } from './local-request.js'
import type { StaticFiles } from './static-files.js'

export interface PageListenerOptions {
  readonly files: Pick<StaticFiles, 'serve'>
  /** Asks the supervisor to kill this process; null where there is none, and so no such button. */
  readonly kill: (() => void) | null
  /** Whether messages survive that. */
  readonly durable: boolean
}

const STATUS_PATH = '/playground/status'
const KILL_PATH = '/playground/kill'

/** Serves the page and its two routes to this machine, and to nobody else. */
export function pageListener(
  options: PageListenerOptions,
): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    const { host } = request.headers
    if (host === undefined || !isLocalHost(host)) {
      answer(response, 403, 'the playground answers to localhost only')
      return
    }
    secure(response, host)
    const path = (request.url ?? '').split('?', 1)[0]
    if (path === STATUS_PATH) serveStatus(response, options)
    else if (path === KILL_PATH) serveKill(request, response, options)
    else if (!options.files.serve(request, response)) answer(response, 404, 'not found')
  }
}

function serveStatus(response: ServerResponse, { kill, durable }: PageListenerOptions): void {
  response.writeHead(200, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' })
  response.end(JSON.stringify({ canKill: kill !== null, durable }))
}

function serveKill(
  request: IncomingMessage,
  response: ServerResponse,
  { kill }: PageListenerOptions,
): void {
  request.resume()
  if (request.method !== 'POST') {
    response.setHeader('Allow', 'POST')
    answer(response, 405, 'method not allowed')
  } else if (kill === null) {
    answer(response, 404, 'there is no supervisor that would start the server again')
  } else if (!isOwnPage(request.headers, KILL_ACTION)) {
    answer(response, 403, 'only the page itself may do this')
  } else {
    // The answer goes out first: afterwards there is nobody left to give it.
    response.once('close', kill)
    answer(response, 202, 'killing the server')
  }
}

function secure(response: ServerResponse, host: string): void {
  response.setHeader(
    'Content-Security-Policy',
    [
      "default-src 'none'",
      "script-src 'self'",
      "style-src 'self'",
      "img-src 'self' data:",
      // Older browsers do not count ws: of the same host as 'self'.
      `connect-src 'self' ws://${host}`,
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
    ].join('; '),
  )
  response.setHeader('X-Content-Type-Options', 'nosniff')
  response.setHeader('Referrer-Policy', 'no-referrer')
}

function answer(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, {
    'Content-Type': 'text/plain; charset=utf-8',
    'Cache-Control': 'no-store',
  })
  response.end(`${text}\n`)
}
