import type { IncomingMessage, ServerResponse } from 'node:http'

/** Where a stand-alone server is in its life; `unavailable`: it serves, but its broker is down. */
export type Phase = 'starting' | 'serving' | 'unavailable' | 'closing'

export interface HealthOptions {
  /** Asked for each request. */
  phase(): Phase
  /** Which `Host` headers are answered; null: all. */
  hostAllowed: ((host: string | undefined) => boolean) | null
}

/**
 * The HTTP side of `serve`: `/healthz` is 200 while the process lives, `/readyz` 200 while it
 * serves. Socket.IO answers its own path before this is asked, once it is attached.
 */
export function healthListener(
  options: HealthOptions,
): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    if (options.hostAllowed !== null && !options.hostAllowed(request.headers.host)) {
      answer(request, response, 403, 'this server answers to local host names only')
      return
    }
    const phase = options.phase()
    const path = (request.url ?? '').split('?', 1)[0]
    if (path !== '/healthz' && path !== '/readyz') {
      if (phase === 'starting' || phase === 'closing') answer(request, response, 503, phase)
      else answer(request, response, 404, 'not found')
      return
    }
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('Allow', 'GET, HEAD')
      answer(request, response, 405, 'method not allowed')
    } else if (path === '/healthz') {
      answer(request, response, 200, 'ok')
    } else {
      answer(request, response, phase === 'serving' ? 200 : 503, phase)
    }
  }
}

function answer(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  text: string,
): void {
  response.writeHead(status, {
    'Content-Type': 'text/plain; charset=utf-8',
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    ...(status === 503 && { 'Retry-After': '1' }),
  })
  response.end(request.method === 'HEAD' ? undefined : `${text}\n`)
}
